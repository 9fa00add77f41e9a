#include "wire/identity/policy.h"

#include <algorithm>

#include "wire/base/limits.h"

namespace eagre::identity {
namespace {

struct ActionName {
    std::string_view name;
    uint8_t actions;
};
constexpr ActionName kActionNames[] = {{"put", kPut}, {"get", kGet}, {"manage", kManage}, {"all", kAllActions}};

bool valid_pattern(std::string_view pattern) {
    if (pattern.empty() || pattern.size() > kStreamNameBytesMax) return false;
    return std::all_of(pattern.begin(), pattern.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-' ||
               c == '*' || c == '?';
    });
}

uint8_t actions_named(std::string_view name) {
    for (const ActionName& each : kActionNames) {
        if (each.name == name) return each.actions;
    }
    return 0;
}

}  // namespace

std::string_view action_name(uint8_t action) {
    for (const ActionName& each : kActionNames) {
        if (each.actions == action) return each.name;
    }
    return "nothing";
}

bool glob_matches(std::string_view pattern, std::string_view text) {
    size_t p = 0;
    size_t t = 0;
    size_t star = std::string_view::npos;  // The last * seen, and where what it stands for ends.
    size_t star_end = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            star_end = t;
        } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
            ++p;
            ++t;
        } else if (star != std::string_view::npos) {
            // The last * takes one more: earlier ones need not, whatever they take the last one can.
            p = star + 1;
            t = ++star_end;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}

Result<Policy> Policy::parse(std::string_view text) {
    if (text.size() > kPolicyTextBytesMax) return error_of(Errc::kLimitExceeded, kPolicyTextBytesMax);
    Policy policy;
    while (!text.empty()) {
        const size_t blank = std::min(text.find(' '), text.size());
        const std::string_view rule = text.substr(0, blank);
        text.remove_prefix(std::min(blank + 1, text.size()));
        if (rule.empty()) continue;
        if (policy.rules_.size() == kPolicyRuleCountMax) return error_of(Errc::kLimitExceeded, kPolicyRuleCountMax);
        const size_t colon = rule.find(':');
        const uint8_t actions = actions_named(rule.substr(0, std::min(colon, rule.size())));
        if (colon == std::string_view::npos || actions == 0 || !valid_pattern(rule.substr(colon + 1))) {
            return error_of(Errc::kBadPolicy, policy.rules_.size());
        }
        const std::string_view pattern = rule.substr(colon + 1);
        if (pattern.find_first_not_of('*') == std::string_view::npos) policy.everywhere_ |= actions;
        policy.rules_.push_back({actions, std::string(pattern)});
    }
    return policy;
}

uint8_t Policy::actions_on(std::string_view stream) const {
    uint8_t actions = 0;
    for (const Rule& rule : rules_) {
        if ((rule.actions & ~actions) != 0 && glob_matches(rule.pattern, stream)) actions |= rule.actions;
    }
    return actions;
}

std::string Policy::text() const {
    std::string text;
    for (const Rule& rule : rules_) {
        if (!text.empty()) text += ' ';
        text += action_name(rule.actions);
        text += ':';
        text += rule.pattern;
    }
    return text;
}

}  // namespace eagre::identity
