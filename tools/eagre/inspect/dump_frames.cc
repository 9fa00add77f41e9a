#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "tools/eagre/inspect/dump.h"
#include "wire/frame/frame.h"

namespace eagre::inspect {
namespace {

using frame::FrameHeader;
using frame::FrameKind;
using frame::kHeaderBytes;

// A capture is read whole: larger ones are cut here, and that is told.
constexpr uint64_t kCaptureBytesMax = 1ULL << 30U;

const char* kind_name(FrameKind kind) {
    switch (kind) {
        case FrameKind::kHello:
            return "Hello";
        case FrameKind::kHelloReply:
            return "HelloReply";
        case FrameKind::kMetadata:
            return "Metadata";
        case FrameKind::kMetadataReply:
            return "MetadataReply";
        case FrameKind::kAppend:
            return "Append";
        case FrameKind::kAppendReply:
            return "AppendReply";
        case FrameKind::kLocate:
            return "Locate";
        case FrameKind::kLocateReply:
            return "LocateReply";
        case FrameKind::kRead:
            return "Read";
        case FrameKind::kReadEnd:
            return "ReadEnd";
        case FrameKind::kSubscribe:
            return "Subscribe";
        case FrameKind::kCredit:
            return "Credit";
        case FrameKind::kUnsubscribe:
            return "Unsubscribe";
        case FrameKind::kDeliver:
            return "Deliver";
        case FrameKind::kDeliverEnd:
            return "DeliverEnd";
        case FrameKind::kCommand:
            return "Command";
        case FrameKind::kCommandReply:
            return "CommandReply";
        case FrameKind::kError:
            return "Error";
        default:
            return "Kind";
    }
}

bool is_reply(FrameKind kind) {
    switch (kind) {
        case FrameKind::kHelloReply:
        case FrameKind::kMetadataReply:
        case FrameKind::kAppendReply:
        case FrameKind::kLocateReply:
        case FrameKind::kReadEnd:
        case FrameKind::kDeliverEnd:
        case FrameKind::kCommandReply:
        case FrameKind::kError:
            return true;
        default:
            return false;
    }
}

bool print_frame(uint64_t offset, const FrameHeader& header, std::span<const std::byte> payload,
                 const DumpOptions& options, std::FILE* out) {
    const bool whole = payload.size() == header.payload_bytes;
    const bool good = whole && frame::payload_matches(header, payload);
    const bool shown = options.shard == 0 || header.shard == options.shard;
    if (shown && !options.summary) {
        fmt::print(out, "  {:#012x} {}", offset, kind_name(header.kind));
        if (is_reply(header.kind))
            fmt::print(out, " {}", errc_name(frame::errc_of(header)));
        else if (header.flags != 0)
            fmt::print(out, " flags {:#x}", header.flags);
        fmt::print(out, " kind {} correlation {} shard {} detail {} number {} sequence {} records {} "
                        "payload {}\n",
                   static_cast<unsigned>(header.kind), header.correlation, header.shard,
                   header.detail, header.number, header.sequence, header.record_count,
                   header.payload_bytes);
    }
    if (!good) {
        fmt::print(out, "  {:#012x} DAMAGED: {}\n", offset + kHeaderBytes,
                   whole ? "the payload fails its CRC" : "the capture ends inside the payload");
        return false;
    }
    const bool batch = header.kind == FrameKind::kAppend || header.kind == FrameKind::kDeliver;
    if (!batch || !shown || options.summary) return true;
    // The capture may hold it at any place; the schema's verifier wants it aligned.
    const std::vector<std::byte> aligned(payload.begin(), payload.end());
    const uint64_t first = header.kind == FrameKind::kDeliver ? header.sequence : 0;
    return print_records(aligned, header.record_count, first, options, out);
}

}  // namespace

bool dump_frames(const std::string& path, const DumpOptions& options, std::FILE* out,
                 uint64_t& frame_count) {
    const InputFile file(path);
    const auto bytes = file.read_all(kCaptureBytesMax);
    const std::span<const std::byte> all(bytes);
    bool good = true;
    uint64_t damage_from = UINT64_MAX;
    frame_count = 0;
    fmt::print(out, "frames {} {} bytes\n", path, file.size_bytes());
    const auto tell_damage = [&](uint64_t to) {
        if (damage_from == UINT64_MAX) return;
        fmt::print(out, "  {:#012x} DAMAGED: {} bytes that are no frame\n", damage_from,
                   to - damage_from);
        damage_from = UINT64_MAX;
        good = false;
    };
    for (size_t at = 0; at < all.size();) {
        const bool fits = all.size() - at >= kHeaderBytes;
        const auto header = fits ? frame::decode_header(all.subspan(at, kHeaderBytes))
                                 : Result<FrameHeader>(Errc::kBadLength);
        if (!header) {
            damage_from = std::min<uint64_t>(damage_from, at);
            ++at;
            continue;
        }
        tell_damage(at);
        ++frame_count;
        const size_t left = all.size() - at - kHeaderBytes;
        const size_t length = std::min<size_t>(header->payload_bytes, left);
        const bool frame_good =
            print_frame(at, *header, all.subspan(at + kHeaderBytes, length), options, out);
        good = frame_good && good;
        // A bad payload may be a bad length no more than bad bytes: its header was good, so go on
        // behind it.
        at += kHeaderBytes + length;
    }
    tell_damage(all.size());
    if (file.size_bytes() > bytes.size())
        fmt::print(out, "  the rest, {} bytes, was not looked at\n",
                   file.size_bytes() - bytes.size());
    fmt::print(out, "  {} frames\n", frame_count);
    return good;
}

}  // namespace eagre::inspect
