#include "control/gateway/model/resource_policy.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "control/gateway/document/document.h"
#include "wire/identity/policy.h"

namespace eagre::gateway {
namespace {

constexpr size_t kStatementCountMax = 64;
constexpr size_t kListMax = 256;

using Kind = Node::Kind;

ApiError malformed(const std::string& why) { return invalid_argument("The policy is malformed: " + why); }

/// A text, or a list of texts. False: it is neither.
bool take_texts(const Node& node, std::vector<std::string>& into) {
    if (node.kind == Kind::kText) {
        into.emplace_back(node.text);
        return true;
    }
    if (node.kind != Kind::kList || node.children.empty() || node.children.size() > kListMax) return false;
    for (const Node& each : node.children) {
        if (each.kind != Kind::kText) return false;
        into.emplace_back(each.text);
    }
    return true;
}

bool matches_any(const std::vector<std::string>& patterns, std::string_view text) {
    return std::any_of(patterns.begin(), patterns.end(), [text](const std::string& pattern) { return identity::glob_matches(pattern, text); });
}

/// "arn:aws:kinesis:REGION:..." with any region: a caller says himself which one he is in, and must not get past a denial by that.
std::string without_region(const std::string& pattern) {
    size_t at = 0;
    for (int i = 0; i < 3; ++i) {
        const size_t colon = pattern.find(':', at);
        if (colon == pattern.npos) return pattern;
        at = colon + 1;
    }
    const size_t end = pattern.find(':', at);
    return end == pattern.npos ? pattern : pattern.substr(0, at) + "*" + pattern.substr(end);
}

/// Actions are the same in small and large letters.
std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    return out;
}

/// The account of "arn:aws:iam::ACCOUNT:...".
std::string_view account_of(std::string_view arn) {
    for (int i = 0; i < 4; ++i) {
        const size_t colon = arn.find(':');
        if (colon == arn.npos) return {};
        arn.remove_prefix(colon + 1);
    }
    return arn.substr(0, arn.find(':'));
}

/// Another account's name stands for nobody here.
bool is_account_of(std::string_view principal, std::string_view user_arn) {
    const std::string_view account = account_of(user_arn);
    return principal == account || (principal.ends_with(":root") && principal == fmt::format("arn:aws:iam::{}:root", account));
}

}  // namespace

std::variant<ResourcePolicy, ApiError> ResourcePolicy::parse(std::string_view text) {
    if (text.size() > kPolicyBytesMax) return invalid_argument(fmt::format("The policy is larger than {} bytes.", kPolicyBytesMax));
    Document document;
    std::string body(text);
    const Node* root = document.parse(Encoding::kJson, body);
    if (root == nullptr || root->kind != Kind::kMap) return malformed("it is not a JSON object.");
    for (size_t i = 0; i < root->children.size(); i += 2) {
        const std::string_view name = root->children[i].text;
        if (name != "Version" && name != "Id" && name != "Statement") return malformed(fmt::format("{} is not known.", name.substr(0, 64)));
    }
    const Node* said = root->member("Statement");
    if (said == nullptr) return malformed("it has no Statement.");
    const std::span<const Node> list = said->kind == Kind::kList ? said->children : std::span<const Node>(said, 1);
    if (list.empty() || list.size() > kStatementCountMax) return malformed(fmt::format("it has to have 1 to {} statements.", kStatementCountMax));
    ResourcePolicy policy;
    for (const Node& each : list) {
        if (each.kind != Kind::kMap) return malformed("a Statement is not a JSON object.");
        Statement statement;
        for (size_t i = 0; i < each.children.size(); i += 2) {
            const std::string_view name = each.children[i].text;
            if (name != "Sid" && name != "Effect" && name != "Principal" && name != "Action" && name != "Resource")
                return malformed(fmt::format("{} is not enforced here, so a policy with it is not taken.", name.substr(0, 64)));
        }
        const Node* effect = each.member("Effect");
        if (effect == nullptr || (effect->text != "Allow" && effect->text != "Deny")) return malformed("Effect has to be Allow or Deny.");
        statement.allow = effect->text == "Allow";
        const Node* principal = each.member("Principal");
        if (principal != nullptr && principal->kind == Kind::kMap) {
            if (principal->children.size() != 2 || principal->children[0].text != "AWS") return malformed("a Principal is \"*\" or of kind AWS.");
            principal = &principal->children[1];
        } else if (principal != nullptr && principal->text != "*") {
            return malformed("a Principal is \"*\" or of kind AWS.");
        }
        if (principal == nullptr || !take_texts(*principal, statement.principals)) return malformed("a statement needs a Principal.");
        const Node* action = each.member("Action");
        if (action == nullptr || !take_texts(*action, statement.actions)) return malformed("a statement needs an Action.");
        for (std::string& name : statement.actions) {
            name = lower(name);
            if (name != "*" && !name.starts_with("kinesis:")) return malformed("Actions are those of kinesis.");
        }
        const Node* resource = each.member("Resource");
        if (resource == nullptr || !take_texts(*resource, statement.resources)) return malformed("a statement needs a Resource.");
        for (std::string& pattern : statement.resources) pattern = without_region(pattern);
        policy.statements_.push_back(std::move(statement));
    }
    return policy;
}

ResourcePolicy::Verdict ResourcePolicy::judge(std::string_view key_id, std::string_view user_arn, std::string_view action, std::string_view resource) const {
    Verdict verdict = Verdict::kNone;
    const std::string wanted = lower(action);
    for (const Statement& statement : statements_) {
        const bool meant = std::any_of(statement.principals.begin(), statement.principals.end(), [&](const std::string& principal) {
            return principal == "*" || principal == key_id || principal == user_arn || is_account_of(principal, user_arn);
        });
        if (!meant || !matches_any(statement.actions, wanted) || !matches_any(statement.resources, resource)) continue;
        if (!statement.allow) return Verdict::kDeny;
        verdict = Verdict::kAllow;
    }
    return verdict;
}

}  // namespace eagre::gateway
