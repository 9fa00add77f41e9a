// fuzz_seeds DIRECTORY: writes the seeds of every fuzzer below it, one folder each. The corpus as a
// program: it follows the schemas by itself, and shows what each fuzzer's input looks like.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <flatbuffers/flatbuffers.h>
#include <sys/stat.h>

#include "dataplane/io/packets/build.h"
#include "wire/frame/batch.h"
#include "wire/frame/datagram.h"
#include "wire/frame/frame.h"
#include "wire/schema/admin_generated.h"
#include "wire/schema/control_generated.h"
#include "wire/schema/request_generated.h"

namespace {

using namespace eagre;
using Bytes = std::vector<std::byte>;

void append(Bytes& target, const void* bytes, size_t count) {
    const auto* first = static_cast<const std::byte*>(bytes);
    target.insert(target.end(), first, first + count);
}

class Folder {
  public:
    Folder(const std::string& root, const char* name) : path_(root + "/" + name) {
        ::mkdir(path_.c_str(), 0755);
    }
    void write(const Bytes& bytes) {
        const std::string path = path_ + "/seed-" + std::to_string(count_++);
        FILE* file = std::fopen(path.c_str(), "wb");
        if (file == nullptr || std::fwrite(bytes.data(), 1, bytes.size(), file) != bytes.size() ||
            std::fclose(file) != 0) {
            std::perror(path.c_str());
            std::exit(1);
        }
    }

  private:
    std::string path_;
    int count_ = 0;
};

Bytes batch(uint32_t record_count, uint32_t data_bytes, bool with_columns) {
    frame::BatchBuilder builder;
    const Bytes data(data_bytes, std::byte{0x41});
    for (uint32_t i = 0; i < record_count; ++i) {
        const std::string key = "key-" + std::to_string(i);
        frame::RecordView record;
        record.partition_key = key;
        record.data = data;
        if (with_columns) {
            record.explicit_hash = HashKey{i, ~uint64_t{i}};
            record.source_time_ns = 1'700'000'000'000'000'000ULL + i;
            record.source_sequence = i + 1;
        }
        if (!builder.add(record)) std::abort();
    }
    const auto payload = builder.finish();
    return {payload.begin(), payload.end()};
}

void write_batches(const std::string& root) {
    Folder batches(root, "batch_fuzz");
    Folder frames(root, "frame_fuzz");
    for (const uint32_t record_count : {1U, 2U, 17U}) {
        for (const bool with_columns : {false, true}) {
            const Bytes payload = batch(record_count, 24, with_columns);
            const uint32_t limits[2] = {record_count, 1024};
            Bytes seed;
            append(seed, limits, sizeof limits);
            append(seed, payload.data(), payload.size());
            batches.write(seed);

            frame::FrameHeader header;
            header.kind = frame::FrameKind::kAppend;
            header.shard = 1;
            header.record_count = record_count;
            frame::seal_frame(header, payload);
            Bytes framed;
            append(framed, &header, sizeof header);
            append(framed, payload.data(), payload.size());
            frames.write(framed);
        }
    }
    for (uint8_t kind = 1; kind <= frame::kFrameKindMax; ++kind) {
        frame::FrameHeader header;
        header.kind = static_cast<frame::FrameKind>(kind);
        frame::seal_header(header);
        Bytes framed;
        append(framed, &header, sizeof header);
        frames.write(framed);
    }
}

// One of each kind, the answer with a bitmap and a frame.
void write_datagrams(const std::string& root) {
    Folder datagrams(root, "datagram_fuzz");
    for (uint8_t kind = 1; kind <= 3; ++kind) {
        frame::DatagramHeader header;
        header.kind = static_cast<frame::DatagramKind>(kind);
        header.session = kind;
        const Bytes bitmap(kind == 3 ? 16 : 0, std::byte{0x55});
        header.bitmap_words = static_cast<uint16_t>(bitmap.size() / 8);
        frame::seal_datagram(header, bitmap);
        frame::FrameHeader inner;
        inner.kind = frame::FrameKind::kAppendReply;
        frame::seal_header(inner);
        Bytes bytes;
        append(bytes, &header, sizeof header);
        append(bytes, bitmap.data(), bitmap.size());
        append(bytes, &inner, sizeof inner);
        datagrams.write(bytes);
    }
}

// One patch each: a bit in the data, a commit's number, a run's length with its CRC put right.
void write_patches(const std::string& root) {
    Folder patches(root, "segment_fuzz");
    const uint8_t seeds[][9] = {
        {0, 0, 0, 16, 4, 1, 2, 3, 4}, {3, 1, 16, 0, 4, 9, 0, 0, 0}, {5, 1, 52, 0, 4, 8, 0, 0, 0}};
    for (const auto& seed : seeds) {
        Bytes bytes;
        append(bytes, seed, sizeof seed);
        patches.write(bytes);
    }
}

class Schemas {
  public:
    explicit Schemas(const std::string& root) : folder_(root, "schema_fuzz") {}

    void write() {
        flatbuffers::FlatBufferBuilder b;
        add(b, 0, wire::CreateHelloDirect(b, "client", 0, "key"));
        add(b, 1,
            wire::CreateHelloReply(b, 1, 2, 0, 0, b.CreateVector(std::vector<uint16_t>{4568, 4569}),
                                   5, 6));
        add(b, 2, wire::CreateMetadataRequestDirect(b, "stream"));
        add(b, 3, wire::CreateMetadataReply(b, streams(b)));
        add(b, 4, wire::CreateCommand(b, 1, 2, wire::CommandOp::OpenStream, stream(b)));
        add(b, 5, wire::CreateCommandReply(b, 1, 0, 0, streams(b), 1, 3, 1, false));
        add(b, 6,
            wire::CreateFactDirect(b, wire::FactKind::Opened, shard(b, 3), 1, "stream", 1, 1000,
                                   1000, 1, 1, 1));
        add(b, 7,
            wire::CreateAdminRequestDirect(b, wire::AdminOp::CreateStream, "stream", 4, 1000,
                                           1000));
        add(b, 8, wire::CreateAdminReply(b, 0, 0, b.CreateString("done"), streams(b)));
        const std::vector<uint8_t> bytes(32, 7);
        add(b, 0, wire::CreateHelloDirect(b, "client", 0, "ek-0123456789abcdef", &bytes, 1));
        add(b, 9, wire::CreateChallengeDirect(b, &bytes, 1, 2, 3, 0));
        add(b, 10, wire::CreateProofDirect(b, &bytes));
        const std::vector<flatbuffers::Offset<wire::KeyInfo>> keys{wire::CreateKeyInfoDirect(
            b, "ek-0123456789abcdef", "feed", 1, 0, &bytes, "put:ticks-* get:*")};
        add(b, 4, wire::CreateCommand(b, 1, 2, wire::CommandOp::PutKeys, 0, wire::CreateKeySetDirect(b, 1, &keys)));
    }

  private:
    static flatbuffers::Offset<wire::ShardInfo> shard(flatbuffers::FlatBufferBuilder& b,
                                                      uint64_t id) {
        wire::ShardInfoBuilder builder(b);
        builder.add_id(id);
        builder.add_ending_hash_high(UINT64_MAX);
        builder.add_open(true);
        builder.add_next_sequence(1);
        return builder.Finish();
    }
    static flatbuffers::Offset<wire::StreamInfo> stream(flatbuffers::FlatBufferBuilder& b) {
        const std::vector<flatbuffers::Offset<wire::ShardInfo>> shards{shard(b, 1), shard(b, 2)};
        return wire::CreateStreamInfoDirect(b, 1, "stream", 1, 1000, 1000, 1, &shards);
    }
    static flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<wire::StreamInfo>>> streams(
        flatbuffers::FlatBufferBuilder& b) {
        return b.CreateVector(
            std::vector<flatbuffers::Offset<wire::StreamInfo>>{stream(b), stream(b)});
    }
    template <class Table>
    void add(flatbuffers::FlatBufferBuilder& b, uint8_t which, flatbuffers::Offset<Table> root) {
        b.Finish(root);
        Bytes seed{std::byte{which}};
        append(seed, b.GetBufferPointer(), b.GetSize());
        folder_.write(seed);
        b.Clear();
    }
    Folder folder_;
};

void write_text(Folder& folder, uint8_t which, std::string_view text) {
    Bytes seed{std::byte{which}};
    append(seed, text.data(), text.size());
    folder.write(seed);
}

void write_feeds(const std::string& root) {
    Folder feeds(root, "feed_fuzz");
    const auto write = [&feeds](std::string_view datagram) {
        Bytes seed;
        append(seed, datagram.data(), datagram.size());
        feeds.write(seed);
    };
    write({"SESSION001\0\0\0\0\0\0\0\1\0\3\0\1a\0\2bc\0\0", 29});
    write({"SESSION001\0\0\0\0\0\0\0\7\xff\xff", 20});
    write({"SESSION001\0\0\0\0\0\0\0\7\0\0", 20});
}

// What clients of the Kinesis API send.
void write_gateway(const std::string& root) {
    Folder http1(root, "http1_fuzz");
    write_text(http1, 3, "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: 2\r\n\r\n{}GET / HTTP/1.0\r\n\r\n");
    write_text(http1, 9, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n4;x=y\r\nabcd\r\n0\r\nTrailer: z\r\n\r\n");
    Folder http2(root, "http2_fuzz");
    // SETTINGS; HEADERS of a POST without a body (static table of HPACK); PING; RST_STREAM.
    write_text(http2, 1, {"\0\0\0\4\0\0\0\0\0"
                          "\0\0\4\1\5\0\0\0\1\x83\x84\x86\x41"
                          "\0\0\x8\6\0\0\0\0\0abcdefgh"
                          "\0\0\4\3\0\0\0\0\1\0\0\0\x8", 52});
    write_text(http2, 200, {"\0\0\0\4\0\0\0\0\0"
                            "\0\0\3\1\4\0\0\0\1\x83\x84\x86"
                            "\0\0\2\0\1\0\0\0\1{}", 32});
    Folder documents(root, "document_fuzz");
    write_text(documents, 0, R"({"StreamName":"quotes","ShardCount":4,"StreamModeDetails":{"StreamMode":"PROVISIONED"}})");
    write_text(documents, 2, R"({"StreamName":"quotes","Data":"aGVsbG8=","PartitionKey":"k\u00e9","ExplicitHashKey":"7"})");
    write_text(documents, 4, R"({"StreamName":"quotes","Records":[{"Data":"aGVsbG8=","PartitionKey":"k"},{"Data":"","PartitionKey":"1e3"}]})");
    write_text(documents, 8, R"({"ConsumerARN":"a","ShardId":"s","StartingPosition":{"Type":"AT_TIMESTAMP","Timestamp":1.5e9}})");
    write_text(documents, 12, R"({"StreamName":"q","Tags":{"a":"b","c":null}})");
    write_text(documents, 3, {"\xbf\x6aStreamName\x61q\x64""Data\x45hello\x6cPartitionKey\x7f\x61k\x61""e\xff\xff", 44});
    write_text(documents, 9, {"\xa1\x69Timestamp\xc1\x1b\0\0\1\x8b\xcf\xe5\x68\0", 21});
    Folder texts(root, "kinesis_text_fuzz");
    for (const char* name : {"shardId-000000000007", "49646437577108575531339980986371930246010965332854833202", "340282366920938463463374607431768211455",
                             "arn:aws:kinesis:us-east-1:000000000000:stream/quotes/consumer/c:1700000000"})
        write_text(texts, 0, name);
    write_text(texts, 1, "AAAAAAAAAAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ==");
    write_text(texts, 2, "AAABi8_laAAAAAAGcXVvdGVzYQ==");
    write_text(texts, 3, "/\nhost:a\nx-amz-date:20231114T221320Z\nauthorization:AWS4-HMAC-SHA256 Credential=ek-0/20231114/us-east-1/kinesis/aws4_request, "
                         "SignedHeaders=host;x-amz-date, Signature=00\n\n{}");
    write_text(texts, 3, "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=ek-0%2F20231114%2Fus-east-1%2Fkinesis%2Faws4_request&X-Amz-Date=20231114T221320Z&"
                         "X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=00\nhost:a\n\n{}");
    write_text(texts, 4, R"({"Version":"2012-10-17","Statement":[{"Sid":"a","Effect":"Allow","Principal":{"AWS":["000000000000"]},"Action":"kinesis:Get*","Resource":"*"}]})");
    write_text(texts, 5, R"({"mode":"ON_DEMAND","metrics":["IncomingBytes"]})");
}

// What a network device of ours would see: one frame of each kind.
void write_packets(const std::string& root) {
    using namespace io::packets;
    Folder packets(root, "packet_fuzz");
    const Host us{{std::byte{2}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{1}}, Ip4{0x0a000002}};
    const Host peer{{std::byte{2}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{9}}, Ip4{0x0a000009}};
    Bytes place(512, std::byte{0});
    const auto put = [&](size_t bytes) { packets.write({place.begin(), place.begin() + static_cast<std::ptrdiff_t>(bytes)}); };
    put(build_arp_request(place, peer, us.address));
    put(build_arp_reply(place, peer, us));
    build_udp_headers(place, {peer, us, 5000, 9000}, 100, 1);
    put(kUdpFrameBytes + 100);
    put(build_igmp2_report(place, peer, Ip4{0xef010101}));
    const Ip4 sources[2] = {Ip4{0x0a000003}, Ip4{0x0a000004}};
    put(build_igmp3_report(place, peer, Ip4{0xef010101}, RecordType::kIsInclude, sources));
    // Queries of versions 2 and 3: a report's frame with another message, whose checksum the fuzzer mends.
    size_t bytes = build_igmp2_report(place, peer, kAllHosts);
    constexpr size_t kMessage = kEthernetBytes + kIpBytes + 4;
    place[kMessage] = std::byte{0x11};
    place[kMessage + 1] = std::byte{100};
    store32(place, kMessage + 4, 0);
    put(bytes);
    bytes = build_igmp3_report(place, peer, Ip4{0xef010101}, RecordType::kIsInclude, sources);
    place[kMessage] = std::byte{0x11};
    place[kMessage + 1] = std::byte{0x9f};
    store32(place, kMessage + 4, 0xef010101);
    store16(place, kMessage + 10, 2);
    put(bytes);
    Bytes echo(40, std::byte{0x42});
    echo[0] = std::byte{8};
    put(build_echo_reply(place, peer, us, echo));
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "Usage: fuzz_seeds DIRECTORY\n");
        return 2;
    }
    write_batches(argv[1]);
    write_patches(argv[1]);
    write_datagrams(argv[1]);
    Schemas(argv[1]).write();
    write_gateway(argv[1]);
    write_feeds(argv[1]);
    write_packets(argv[1]);
    return 0;
}
