// Who asks and what he may do, and the notebook that says so.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "control/gateway/gateway.h"
#include "control/gateway/model/signature.h"
#include "control/log/log.h"

namespace eagre::gateway {
namespace {

/// So old the notebook may be for those who ask with a key that it has: revoked ones are refused from then on.
constexpr uint64_t kNotebookAgeMs = 5'000;
/// It is read anew so often while calls come.
constexpr uint64_t kNotebookRefreshMs = 1'000;
/// However many come with keys that it does not have, it is read no more often.
constexpr uint64_t kNotebookPauseMs = 20;
constexpr size_t kWaitingMax = 4096;

}  // namespace

// ---------------------------------------------------------------------------------------------------------- the notebook

bool Gateway::has_notebook(uint64_t age_ms) {
    const uint64_t now = now_ms();
    const uint64_t age = notebook_ms_ == 0 ? UINT64_MAX : now - std::min(now, notebook_ms_);
    const bool stale = notebook_number_ < change_number_;
    if (stale || age > std::min(age_ms, kNotebookRefreshMs)) refresh_notebook();
    // While control does not answer nobody waits for it: what was known last goes on to count, as in the dataplane.
    return notebook_final_ || notebook_lost_ || (age <= age_ms && !stale) || waiting_for_notebook_.size() >= kWaitingMax;
}

void Gateway::refresh_notebook() {
    const uint64_t asked_ms = now_ms();
    if (notebook_asked_ || asked_ms < notebook_tried_ms_ + (notebook_lost_ ? kNotebookRefreshMs : kNotebookPauseMs)) return;
    notebook_asked_ = true;
    ++notebook_ask_count_;
    notebook_tried_ms_ = asked_ms;
    control_.submit(
        [this, asked_ms, ask = notebook_ask_count_, number = change_number_, auth = options_.auth, master = options_.master](client::ControlClient& control) -> Result<ControlPool::Completion> {
            auto book = read_notebook(control, auth ? &master : nullptr);
            if (!book) return book.error();
            return ControlPool::Completion([this, book = std::move(*book), asked_ms, ask, number] {
                notebook_asked_ = notebook_lost_ = false;
                notebook_read_ = ask;
                notebook_ = book;
                notebook_ms_ = asked_ms;
                notebook_number_ = number;
                // Something was changed meanwhile, and who waits may wait for that.
                if (number < change_number_ && !waiting_for_notebook_.empty()) return refresh_notebook();
                take_up_waiting();
            });
        },
        [this](Error error, const std::string&) {
            notebook_lost_ = true;
            log::debug("gateway", "eagre-control does not answer, the last notebook stands reason={}", errc_name(error.code));
            notebook_asked_ = false;
            notebook_failed_ = true;  // May be told at once, in the middle of a call.
        });
}

void Gateway::take_up_waiting() {
    std::vector<WaitingForNotebook> later;
    for (WaitingForNotebook& each : std::exchange(waiting_for_notebook_, {})) {
        if (each.ask > notebook_ask_count_ && !notebook_lost_) {
            later.push_back(std::move(each));
            continue;
        }
        dispatch(each.parked.exchange, each.parked.request, true);
    }
    for (WaitingForNotebook& each : later) waiting_for_notebook_.push_back(std::move(each));
}

void Gateway::park_for_notebook(const Call& call) { waiting_for_notebook_.push_back({{call.exchange, std::move(*current_)}, 0}); }

bool Gateway::look_again(const Call& call) {
    if (notebook_final_ || notebook_lost_ || waiting_for_notebook_.size() >= kWaitingMax) return false;
    waiting_for_notebook_.push_back({{call.exchange, std::move(*current_)}, notebook_ask_count_ + 1});
    refresh_notebook();
    return true;
}

// ----------------------------------------------------------------------------------------------------------------- access

Gateway::Access Gateway::authenticate(Call& call) {
    const std::string_view region = region_of(*current_);
    call.region = region.empty() ? options_.arns.region : std::string(region);
    const auto refuse = [&](const ApiError& error) {
        ++stats_.unauthenticated_count;
        fail(call, error);
        return Access::kFailed;
    };
    const auto park = [&] {
        park_for_notebook(call);
        return Access::kParked;
    };
    if (!options_.auth) {
        // Nobody checks, but two signatures or half of one are wrong everywhere.
        if (!is_signed(*current_)) return Access::kGranted;
        auto read = read_signature(*current_);
        const auto* error = std::get_if<ApiError>(&read);
        return error != nullptr && error->type == "IncompleteSignatureException" ? refuse(*error) : Access::kGranted;
    }
    auto read = read_signature(*current_);
    if (const auto* error = std::get_if<ApiError>(&read)) return refuse(*error);
    const auto& signature = std::get<Signature>(read);
    if (!has_notebook(kNotebookAgeMs)) return park();
    const auto found = notebook_->keys.find(signature.key_id);
    if (found == notebook_->keys.end() && look_again(call)) return Access::kParked;
    if (notebook_ms_ == 0) {
        fail(call, unavailable("Keys can't be checked: eagre-control does not answer."));
        return Access::kFailed;
    }
    // We give out no session tokens: whoever comes with one has it from somebody else.
    if (found == notebook_->keys.end() || signature.token) return refuse(unknown_key());
    if (found->second->expires_ns != 0 && now_ms() >= found->second->expires_ns / 1'000'000) return refuse(unknown_key());
    const auto time = check_time(signature, now_ms());
    if (const auto* error = std::get_if<ApiError>(&time)) return refuse(*error);
    if (!is_made_with(signature, *current_, found->second->secret)) {
        // The key may have been rotated just now.
        if (look_again(call)) return Access::kParked;
        return refuse(wrong_signature());
    }
    call.key = found->second;
    return Access::kGranted;
}

bool Gateway::may_see(const Call& call, std::string_view stream) const {
    return call.key == nullptr || call.key->policy.actions_on(stream) != 0;
}

bool Gateway::permit(const Call& call, std::string_view stream, std::string_view consumer) {
    if (call.key == nullptr) return true;
    const Row* row = find_operation(call.operation);
    const std::string action = fmt::format("kinesis:{}", call.operation);
    const std::string user = options_.arns.user(call.key->name);
    const StreamNotes& notes = notebook_->of(stream);
    std::string resource = arns(call).stream(stream);
    const ResourcePolicy* policy = notes.policy ? &*notes.policy : nullptr;
    if (!consumer.empty()) {
        const RegisteredConsumer* known = notebook_->consumer(stream, consumer);
        resource = arns(call).consumer(stream, consumer, known == nullptr ? 0 : known->created_ms);
        const auto found = notes.consumer_policies.find(consumer);
        policy = found == notes.consumer_policies.end() ? nullptr : &found->second;
    }
    const uint8_t allowed = call.key->policy.actions_on(stream);
    const auto verdict = policy == nullptr ? ResourcePolicy::Verdict::kNone : policy->judge(call.key->id, user, action, resource);
    const bool granted = row->action == 0 ? allowed != 0 : (allowed & row->action) != 0;
    if (verdict != ResourcePolicy::Verdict::kDeny && (granted || verdict == ResourcePolicy::Verdict::kAllow)) return true;
    ++stats_.denied_count;
    log::info("gateway", "refused operation={} stream={} key={} name={}", call.operation, stream, call.key->id, call.key->name);
    fail(call, ApiError{"AccessDeniedException", fmt::format("User: {} is not authorized to perform: {} on resource: {} because {}", user, action, resource,
                                                             verdict == ResourcePolicy::Verdict::kDeny ? "of an explicit deny in a resource-based policy"
                                                                                                       : "no identity-based policy allows the action")});
    return false;
}

bool Gateway::permit_everywhere(const Call& call, uint8_t action) {
    if (call.key == nullptr || (call.key->policy.actions_everywhere() & action) == action) return true;
    ++stats_.denied_count;
    fail(call, ApiError{"AccessDeniedException", fmt::format("User: {} is not authorized to perform: kinesis:{} on resource: * because no identity-based policy allows the action",
                                                             options_.arns.user(call.key->name), call.operation)});
    return false;
}

bool Gateway::permit_input(const Call& call, const Row& row, const Node& input) {
    if (call.key == nullptr) return true;
    for (const char* member : {"ConsumerARN", "ResourceARN"}) {
        const Node* arn = input.member(member);
        if (arn == nullptr) continue;
        if (const auto consumer = parse_consumer_arn(arn->text)) return permit(call, consumer->stream, consumer->consumer);
        if (const auto stream = stream_of_arn(arn->text)) return permit(call, *stream);
    }
    if (const Node* name = input.member("StreamName"); name != nullptr && !permit(call, name->text)) return false;
    if (const Node* arn = input.member("StreamARN"); arn != nullptr) {
        const auto stream = stream_of_arn(arn->text);
        return !stream || permit(call, *stream);
    }
    return row.action != identity::kManage || input.member("StreamName") != nullptr || permit_everywhere(call, identity::kManage);
}

}  // namespace eagre::gateway
