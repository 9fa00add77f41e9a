// Feeds records whose bytes follow from their numbers, and writes down what the box has
// acknowledged; or reads everything back and compares. The two halves of tests/crash/test_crash.py
// that have to be fast.
//
//   witness feed   PORT STREAM LOG RATE    until SIGTERM; one line of progress on standard output per kProgressCount
//                                          records; RATE 0: as fast as it goes
//   witness check  PORT STREAM LOG [all]   "all": every record that was ever sent must be there
//   witness follow PORT STREAM LOG         reads along until SIGTERM, then on until it has had all that the log says
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include <signal.h>

#include "wire/base/prng.h"
#include "wire/client/client.h"

namespace eagre {
namespace {

using client::BatchOutcome;

constexpr uint64_t kKeyCount = 97;
constexpr uint64_t kProgressCount = 500;
constexpr uint64_t kBurst = 256;  // Put between two polls at full speed.
constexpr uint64_t kSecondNs = 1'000'000'000ULL;
constexpr uint64_t kReadNsMax = 60 * kSecondNs;

volatile sig_atomic_t stop = 0;

// ------------------------------------------------------------------------------------------------
// records from numbers

struct Record {
    std::string key;
    std::vector<std::byte> data;
};

/// 8 bytes of number, then 0..1500 bytes that follow from it.
Record record_of(uint64_t number) {
    Prng prng(number + 1);
    Record record;
    record.key = "key-" + std::to_string(number % kKeyCount);
    record.data.resize(8 + prng.below(1500));
    std::memcpy(record.data.data(), &number, 8);
    for (size_t i = 8; i < record.data.size(); i += 8) {
        const uint64_t noise = prng.next();
        std::memcpy(record.data.data() + i, &noise, std::min<size_t>(8, record.data.size() - i));
    }
    return record;
}

/// One line of the log: what was acknowledged, or (sequence 0) sent and never acknowledged.
struct Line {
    uint64_t shard = 0;
    uint64_t sequence = 0;
    uint64_t number = 0;
};

int fail(const std::string& what) {
    std::fprintf(stderr, "witness: %s\n", what.c_str());
    return 1;
}

Result<std::unique_ptr<client::Client>> connect(uint16_t port) {
    client::ClientOptions options;
    options.port = port;
    options.name = "witness";
    return client::Client::connect(client::make_tcp_transport(), options);
}

// ---------------------------------------------------------------------------------------------------------------
// feeding

int feed(uint16_t port, const std::string& stream, const std::string& log_path,
         uint64_t records_per_s) {
    std::FILE* log = std::fopen(log_path.c_str(), "ab");
    if (log == nullptr) return fail("cannot write " + log_path);
    auto client = connect(port);
    if (!client) return fail("not connected: " + std::string(errc_name(client.error().code)));
    client::ProducerOptions options;
    options.delivery_timeout_ns = kReadNsMax;  // A box that is killed and restarted is waited for.
    options.batch_record_count = 64;
    auto producer = (*client)->make_producer(stream, options);
    if (!producer) return fail("no producer: " + std::string(errc_name(producer.error().code)));

    uint64_t acknowledged_count = 0;
    uint64_t failed_count = 0;
    (*producer)->on_outcome([&](const BatchOutcome& outcome) {
        for (uint32_t i = 0; i < outcome.record_count; ++i) {
            const bool kept = outcome.error.code == Errc::kOk;
            const Line line{outcome.shard.value, kept ? outcome.first_sequence.value + i : 0,
                            outcome.tags[i]};
            std::fwrite(&line, sizeof(line), 1, log);
            kept ? ++acknowledged_count : ++failed_count;
            if (kept && acknowledged_count % kProgressCount == 0)
                std::printf("acknowledged %llu\n",
                            static_cast<unsigned long long>(acknowledged_count));
        }
        if (outcome.error.code != Errc::kOk) {
            std::fprintf(stderr, "witness: batch failed: %s\n",
                         std::string(errc_name(outcome.error.code)).c_str());
        }
        std::fflush(log);
        std::fflush(stdout);
    });

    client::Transport& transport = (*client)->transport();
    const uint64_t started_ns = transport.monotonic_ns();
    uint64_t number = 0;
    while (stop == 0) {
        const uint64_t due =
            records_per_s == 0 ? number + kBurst
                               : (transport.monotonic_ns() - started_ns) / 1000 * records_per_s / 1'000'000;
        while (number < due) {
            const Record record = record_of(number);
            frame::RecordView view;
            view.partition_key = record.key;
            view.data = record.data;
            const Status put = (*producer)->put(view, number);
            if (!put && put.error().code != Errc::kBusy && put.error().code != Errc::kUnavailable) {
                return fail("put: " + std::string(errc_name(put.error().code)));
            }
            if (!put) break;  // The window is full, or the box is away: poll, then again.
            ++number;
        }
        (*client)->poll(1'000'000);
    }
    const Status drained = (*producer)->drain(kReadNsMax);
    std::fclose(log);
    std::printf("sent %llu acknowledged %llu failed %llu resent %llu\n",
                static_cast<unsigned long long>(number),
                static_cast<unsigned long long>(acknowledged_count),
                static_cast<unsigned long long>(failed_count),
                static_cast<unsigned long long>((*producer)->stats().resend_count));
    if (!drained) return fail("not drained: " + std::string(errc_name(drained.error().code)));
    if (failed_count != 0 || acknowledged_count != number)
        return fail("not everything was acknowledged in the end");
    return 0;
}

// --------------------------------------------------------------------------------------------------------------
// checking

/// Of one shard, from its first record on. Children begin above their parents.
struct Found {
    uint64_t first = 0;
    std::vector<uint64_t> numbers;
    uint64_t next() const { return first + numbers.size(); }
};

class Check {
  public:
    explicit Check(std::vector<Line> lines) : lines_(std::move(lines)) {}
    void expect(std::vector<Line> lines) { lines_ = std::move(lines); }

    void take(const client::Delivery& delivery) {
        for (uint32_t i = delivery.skip; i < delivery.batch.record_count(); ++i) {
            take_record(delivery.shard.value, delivery.first_sequence.value + i,
                        delivery.batch.record(i));
        }
    }

    /// Prints what is wrong; returns how much.
    uint64_t finish(bool everything) {
        for (const Line& line : lines_) {
            if (line.sequence == 0) continue;
            const auto shard = found_.find(line.shard);
            const bool there = shard != found_.end() && line.sequence >= shard->second.first &&
                               line.sequence < shard->second.next();
            if (!there) {
                complain("acknowledged and lost", line.shard, line.sequence, line.number);
            } else if (shard->second.numbers[line.sequence - shard->second.first] != line.number) {
                complain("acknowledged, and another is in its place", line.shard, line.sequence,
                         line.number);
            }
        }
        if (everything && !numbers_.empty()) {
            const uint64_t sent_count =
                std::max_element(numbers_.begin(), numbers_.end())->first + 1;
            if (numbers_.size() != sent_count)
                complain("numbers are missing", 0, sent_count, numbers_.size());
        }
        return wrong_count_;
    }
    size_t count() const { return numbers_.size(); }

  private:
    void take_record(uint64_t shard, uint64_t sequence, const frame::RecordView& record) {
        const auto [place, is_first] = found_.try_emplace(shard);
        Found& found = place->second;
        if (is_first) found.first = sequence;
        if (sequence != found.next())
            complain("sequence numbers are not dense", shard, sequence, found.next());
        uint64_t number = UINT64_MAX;
        if (record.data.size() >= 8) std::memcpy(&number, record.data.data(), 8);
        const Record expected = record_of(number);
        const bool sound =
            record.partition_key == expected.key && std::ranges::equal(record.data, expected.data);
        if (!sound) complain("not the bytes that were sent", shard, sequence, number);
        found.numbers.push_back(number);
        if (++numbers_[number] > 1) complain("there twice", shard, sequence, number);
        const auto last = last_of_key_.find(expected.key);
        if (last != last_of_key_.end() && last->second >= number)
            complain("out of order within its key", shard, sequence, number);
        last_of_key_[expected.key] = number;
    }

    void complain(const char* what, uint64_t shard, uint64_t sequence, uint64_t number) {
        if (++wrong_count_ > 20) return;
        std::fprintf(stderr, "witness: %s: shard %llu sequence %llu number %llu\n", what,
                     static_cast<unsigned long long>(shard),
                     static_cast<unsigned long long>(sequence),
                     static_cast<unsigned long long>(number));
    }

    std::vector<Line> lines_;
    std::map<uint64_t, Found> found_;  // By shard.
    std::unordered_map<uint64_t, uint32_t> numbers_;
    std::unordered_map<std::string, uint64_t> last_of_key_;
    uint64_t wrong_count_ = 0;
};

std::vector<Line> read_log(const std::string& path) {
    std::vector<Line> lines;
    std::ifstream log(path, std::ios::binary);
    Line line;
    while (log.read(reinterpret_cast<char*>(&line), sizeof(line))) lines.push_back(line);
    return lines;
}

int check(uint16_t port, const std::string& stream, const std::string& log_path, bool everything) {
    // The log first: what is acknowledged from here on may or may not be seen below.
    Check check(read_log(log_path));
    auto client = connect(port);
    if (!client) return fail("not connected: " + std::string(errc_name(client.error().code)));
    const auto described = (*client)->describe(stream);
    if (!described)
        return fail("no such stream: " + std::string(errc_name(described.error().code)));
    client::ConsumerOptions options;
    options.mode = client::ConsumerOptions::Mode::kPull;
    auto consumer = (*client)->make_consumer(stream, options);
    if (!consumer) return fail("no consumer: " + std::string(errc_name(consumer.error().code)));
    (*consumer)->on_delivery([&](const client::Delivery& delivery) { check.take(delivery); });
    uint64_t event_count = 0;
    (*consumer)->on_event([&](ShardId shard, Error error) {
        if (error.code == Errc::kShardClosed) return;  // Split or merged.
        ++event_count;
        std::fprintf(stderr, "witness: shard %llu: %s\n",
                     static_cast<unsigned long long>(shard.value),
                     std::string(errc_name(error.code)).c_str());
    });
    // Up to the tails as they were when we began: the feed may be going on.
    std::map<uint64_t, uint64_t> tails;
    for (const auto& shard : described->shards) tails[shard.id.value] = shard.next_sequence.value;
    client::Transport& transport = (*client)->transport();
    const uint64_t deadline_ns = transport.monotonic_ns() + kReadNsMax;
    const auto done = [&] {
        std::map<uint64_t, uint64_t> next;
        for (const auto& [shard, sequence] : (*consumer)->position()) next[shard.value] = sequence.value;
        return std::all_of(tails.begin(), tails.end(),
                           [&](const auto& tail) { return next[tail.first] >= tail.second; });
    };
    while (!done()) {
        if (transport.monotonic_ns() > deadline_ns) return fail("not read to the end in time");
        (*client)->poll(10'000'000);
    }
    const uint64_t wrong_count = check.finish(everything) + event_count;
    std::printf("read %zu wrong %llu\n", check.count(),
                static_cast<unsigned long long>(wrong_count));
    return wrong_count == 0 ? 0 : 1;
}

int follow(uint16_t port, const std::string& stream, const std::string& log_path) {
    Check check({});
    auto client = connect(port);
    if (!client) return fail("not connected: " + std::string(errc_name(client.error().code)));
    auto consumer = (*client)->make_consumer(stream, {});
    if (!consumer) return fail("no consumer: " + std::string(errc_name(consumer.error().code)));
    (*consumer)->on_delivery([&](const client::Delivery& delivery) { check.take(delivery); });
    uint64_t event_count = 0;
    (*consumer)->on_event([&](ShardId, Error error) { event_count += error.code == Errc::kShardClosed ? 0 : 1; });
    while (stop == 0) (*client)->poll(10'000'000);
    std::vector<Line> lines = read_log(log_path);
    const uint64_t deadline_ns = (*client)->transport().monotonic_ns() + kReadNsMax;
    while (check.count() < lines.size()) {
        if ((*client)->transport().monotonic_ns() > deadline_ns) {
            return fail("got " + std::to_string(check.count()) + " of " + std::to_string(lines.size()) + " records in time");
        }
        (*client)->poll(10'000'000);
    }
    check.expect(std::move(lines));
    const uint64_t wrong_count = check.finish(true) + event_count;
    std::printf("read %zu wrong %llu\n", check.count(), static_cast<unsigned long long>(wrong_count));
    return wrong_count == 0 ? 0 : 1;
}

}  // namespace
}  // namespace eagre

int main(int argc, char** argv) {
    const std::vector<std::string> args(argv + 1, argv + argc);
    if (args.size() < 4) return eagre::fail("usage: witness feed|check|follow PORT STREAM LOG [RATE|all]");
    signal(SIGTERM, [](int) { eagre::stop = 1; });
    const auto port = static_cast<uint16_t>(std::stoul(args[1]));
    if (args[0] == "feed")
        return eagre::feed(port, args[2], args[3], args.size() > 4 ? std::stoull(args[4]) : 20'000);
    if (args[0] == "follow") return eagre::follow(port, args[2], args[3]);
    return eagre::check(port, args[2], args[3], args.size() > 4 && args[4] == "all");
}
