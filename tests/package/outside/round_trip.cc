// Makes a stream, stores records, reads them back and compares; prints one line and ends with 0 when all are there, once and
// in order of their key. Arguments: address, port, path of the control socket. Built with exceptions, which the library is not.
#include <cstdlib>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>

#include "wire/client/client.h"
#include "wire/client/control_client.h"

namespace {

constexpr int kRecordCount = 1000;
constexpr int kKeyCount = 10;
constexpr uint64_t kSecond = 1'000'000'000ULL;

template <class T>
T checked(eagre::Result<T> result, const char* what) {
    if (!result) throw std::runtime_error(std::string(what) + ": " + std::string(eagre::errc_advice(result.error().code)));
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

void run(const std::string& address, uint16_t port, const std::string& socket) {
    using namespace eagre;
    auto control = checked(client::ControlClient::connect(socket, 10 * kSecond), "control");
    checked(control->create_stream({.name = "outside", .shard_count = 3}), "create");
    auto client = checked(client::Client::connect(client::make_tcp_transport(), {.address = address, .port = port}), "connect");

    auto producer = checked(client->make_producer("outside", {}), "producer");
    for (int i = 0; i < kRecordCount; ++i) {
        const std::string key = "key " + std::to_string(i % kKeyCount);
        const std::string data = std::to_string(i);
        Status taken = producer->put({.partition_key = key, .data = bytes_of(data)});
        while (!taken && taken.error().code == Errc::kBusy) {
            client->poll(kSecond / 1000);
            taken = producer->put({.partition_key = key, .data = bytes_of(data)});
        }
        checked(taken, "put");
    }
    checked(producer->drain(10 * kSecond), "drain");

    auto consumer = checked(client->make_consumer("outside", {}), "consumer");
    std::map<std::string, int> next;  // By key: what must come.
    int count = 0;
    std::string wrong;  // Not thrown from here: the library has no exceptions, so nothing may fly through it.
    consumer->on_delivery([&](const client::Delivery& run) {
        for (uint32_t i = run.skip; i < run.batch.record_count(); ++i, ++count) {
            const auto record = run.batch.record(i);
            const std::string key(record.partition_key);
            const std::string data(reinterpret_cast<const char*>(record.data.data()), record.data.size());
            const auto at = next.try_emplace(key, std::stoi(key.substr(4))).first;
            if (data != std::to_string(at->second)) wrong = key + ": " + data + " came out of order";
            at->second += kKeyCount;
        }
    });
    const uint64_t end_ns = client->transport().monotonic_ns() + 10 * kSecond;
    while (count < kRecordCount && client->transport().monotonic_ns() < end_ns) client->poll(kSecond / 100);
    if (!wrong.empty()) throw std::runtime_error(wrong);
    if (count != kRecordCount) throw std::runtime_error(std::to_string(count) + " records came back");
    std::cout << count << " records in " << next.size() << " keys came back\n";
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    try {
        run(argv[1], static_cast<uint16_t>(std::atoi(argv[2])), argv[3]);
    } catch (const std::exception& error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
    return 0;
}
