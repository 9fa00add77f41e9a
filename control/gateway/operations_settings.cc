// What is set on a stream or the account and changes nothing in the dataplane: modes, warm throughput, monitoring, how records are spread.
#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "control/gateway/gateway.h"
#include "control/gateway/warm_throughput.h"

namespace eagre::gateway {
namespace {

constexpr int kAttemptsMax = 8;  // At a note that others change too.
constexpr std::array<std::string_view, 7> kMetrics = {"IncomingBytes",
                                                      "IncomingRecords",
                                                      "OutgoingBytes",
                                                      "OutgoingRecords",
                                                      "WriteProvisionedThroughputExceeded",
                                                      "ReadProvisionedThroughputExceeded",
                                                      "IteratorAgeMilliseconds"};

struct Changed {
    std::optional<ApiError> refused;
    StreamSettings before;
    StreamSettings after;
};

/// Reads, changes, writes; again if somebody else wrote meanwhile. In a thread of the pool.
Result<Changed> change_note(client::ControlClient& control, const std::string& stream,
                            const std::function<std::optional<ApiError>(StreamSettings&, const AccountSettings&)>& change) {
    const auto account = control.list_notes({}, kAccountNote);
    if (!account) return account.error();
    for (int i = 0; i < kAttemptsMax; ++i) {
        const auto notes = control.list_notes(stream, kSettingsNote);
        if (!notes) return notes.error();
        Changed changed;
        client::Note note{stream, std::string(kSettingsNote), {}, 0};
        if (!notes->empty()) {
            note = notes->front();
            changed.before = parse_settings(note.text);
        }
        changed.after = changed.before;
        changed.refused = change(changed.after, account->empty() ? AccountSettings{} : parse_account(account->front().text));
        if (changed.refused) return changed;
        note.text = changed.after.text();
        const auto put = control.put_note(note);
        if (put) return changed;
        if (put.error().code != Errc::kNoteChanged) return put.error();
    }
    return Errc::kBusy;
}

void write_commitment(Writer& writer, const AccountSettings& account) {
    writer.begin_map();
    writer.name("MinimumThroughputBillingCommitment");
    writer.begin_map();
    writer.text("Status", account.committed ? "ENABLED" : "DISABLED");
    if (account.changed_ms != 0) writer.time_ms(account.committed ? "StartedAt" : "EndedAt", account.changed_ms);
    writer.end_map();
    writer.end_map();
}

}  // namespace

void Gateway::change_settings(const Call& call, const std::string& name, SettingsChange change,
                              std::function<void(const StreamSettings& before, const StreamSettings& after)> answer) {
    submit(call, name,
           [this, call, name, change = std::move(change), answer = std::move(answer)](client::ControlClient& control) -> Result<ControlPool::Completion> {
               auto changed = change_note(control, name, change);
               if (!changed) return changed.error();
               return ControlPool::Completion([this, call, answer, changed = std::move(*changed)] {
                   ++change_number_;
                   if (changed.refused) return fail(call, *changed.refused);
                   answer(changed.before, changed.after);
               });
           });
}

void Gateway::update_stream_mode(const Call& call, const Node& input) {
    std::string name;
    if (!stream_name(call, input, name)) return;
    const bool on_demand = input.member("StreamModeDetails")->member("StreamMode")->text == "ON_DEMAND";
    const Node* warm = input.member("WarmThroughputMiBps");
    const int64_t mibps = warm == nullptr ? 0 : warm->integer;
    if (mibps != 0 && !on_demand) return fail(call, validation("WarmThroughputMiBps is only for streams with StreamMode ON_DEMAND."));
    change_settings(
        call, name,
        [on_demand, mibps](StreamSettings& settings, const AccountSettings& account) -> std::optional<ApiError> {
            if (mibps != 0 && !account.committed) return warm_throughput_refused();
            settings.on_demand = on_demand;
            settings.warm_mibps = mibps;
            if (!on_demand) settings.automatic = false;
            return std::nullopt;
        },
        [this, call](const StreamSettings&, const StreamSettings&) { answer_empty(call); });
}

void Gateway::update_warm_throughput(const Call& call, const Node& input) {
    std::string name;
    if (!stream_name(call, input, name)) return;
    const int64_t mibps = input.member("WarmThroughputMiBps")->integer;
    change_settings(
        call, name,
        [mibps](StreamSettings& settings, const AccountSettings& account) -> std::optional<ApiError> {
            if (!settings.on_demand) return validation("WarmThroughputMiBps is only for streams with StreamMode ON_DEMAND.");
            if (!account.committed) return warm_throughput_refused();
            settings.warm_mibps = mibps;
            return std::nullopt;
        },
        [this, call, name, mibps](const StreamSettings&, const StreamSettings&) {
            Writer writer(call.encoding);
            writer.begin_map();
            writer.text("StreamARN", arns(call).stream(name));
            writer.text("StreamName", name);
            writer.name("WarmThroughput");
            write_warm_throughput(writer, mibps);
            writer.end_map();
            this->answer(call, writer);
        });
}

void Gateway::update_distribution(const Call& call, const Node& input) {
    std::string name;
    if (!stream_name(call, input, name)) return;
    const bool automatic = input.member("RecordDistributionStrategy")->text == "AUTO";
    change_settings(
        call, name,
        [automatic](StreamSettings& settings, const AccountSettings&) -> std::optional<ApiError> {
            if (!settings.on_demand) return validation("RecordDistributionStrategy is only for streams with StreamMode ON_DEMAND.");
            settings.automatic = automatic;
            return std::nullopt;
        },
        [this, call](const StreamSettings&, const StreamSettings&) { answer_empty(call); });
}

void Gateway::change_monitoring(const Call& call, const Node& input, bool enable) {
    std::string name;
    if (!stream_name(call, input, name)) return;
    std::vector<std::string> named;
    for (const Node& each : input.member("ShardLevelMetrics")->children) named.emplace_back(each.text);
    const bool all = std::find(named.begin(), named.end(), "ALL") != named.end();
    change_settings(
        call, name,
        [named, all, enable](StreamSettings& settings, const AccountSettings&) -> std::optional<ApiError> {
            std::vector<std::string> wanted;
            for (const std::string_view metric : kMetrics) {
                const auto is = [metric](const std::string& each) { return each == metric; };
                const bool meant = all || std::any_of(named.begin(), named.end(), is);
                const bool had = std::any_of(settings.shard_metrics.begin(), settings.shard_metrics.end(), is);
                if (meant ? enable : had) wanted.emplace_back(metric);
            }
            settings.shard_metrics = std::move(wanted);
            return std::nullopt;
        },
        [this, call, name](const StreamSettings& before, const StreamSettings& after) {
            Writer writer(call.encoding);
            writer.begin_map();
            writer.text("StreamName", name);
            for (const auto& [member, settings] : {std::pair{"CurrentShardLevelMetrics", &before}, std::pair{"DesiredShardLevelMetrics", &after}}) {
                writer.name(member);
                writer.begin_list();
                for (const std::string& metric : settings->shard_metrics) writer.text(metric);
                writer.end_list();
            }
            writer.text("StreamARN", arns(call).stream(name));
            writer.end_map();
            this->answer(call, writer);
        });
}

void Gateway::describe_account_settings(const Call& call, const Node&) {
    submit(call, {}, [this, call](client::ControlClient& control) -> Result<ControlPool::Completion> {
        const auto notes = control.list_notes({}, kAccountNote);
        if (!notes) return notes.error();
        return ControlPool::Completion([this, call, account = notes->empty() ? AccountSettings{} : parse_account(notes->front().text)] {
            Writer writer(call.encoding);
            write_commitment(writer, account);
            answer(call, writer);
        });
    });
}

void Gateway::update_account_settings(const Call& call, const Node& input) {
    const bool committed = input.member("MinimumThroughputBillingCommitment")->member("Status")->text == "ENABLED";
    submit(call, {}, [this, call, account = AccountSettings{committed, now_ms()}](client::ControlClient& control) -> Result<ControlPool::Completion> {
        const auto notes = control.list_notes({}, kAccountNote);
        if (!notes) return notes.error();
        AccountSettings settings = account;
        if (!notes->empty() && parse_account(notes->front().text).committed == settings.committed) settings = parse_account(notes->front().text);
        const auto put = control.put_note({{}, std::string(kAccountNote), settings.text(), notes->empty() ? 0 : notes->front().revision});
        if (!put) return put.error();
        return ControlPool::Completion([this, call, settings] {
            ++change_number_;
            Writer writer(call.encoding);
            write_commitment(writer, settings);
            answer(call, writer);
        });
    });
}

}  // namespace eagre::gateway
