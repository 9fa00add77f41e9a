// What lies in the directory, and which of it belongs to the journal.
#include <algorithm>
#include <cstring>

#include "dataplane/journal/recovery.h"
#include "dataplane/journal/segment_order.h"
#include "wire/base/assert.h"

namespace eagre::journal {
namespace {

bool all_zero(const std::byte* bytes, size_t count) {
    return std::all_of(bytes, bytes + count, [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

void Recovery::on_done(DeviceOp& /*op*/, uint64_t /*now_ns*/) {}

void Recovery::transfer(std::vector<Request>& requests, io::StorageOp::Kind kind) {
    size_t next = 0;
    size_t running[kOpCount];
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < kOpCount; ++i) {
            DeviceOp& op = ops_[i];
            if (op.under_way() || next == requests.size()) continue;
            Request& request = requests[next];
            running[i] = next++;
            op.kind = kind;
            op.file = request.file;
            op.offset_bytes = request.offset_bytes;
            op.buffer = request.buffer;
            op.length_bytes = request.length_bytes;
            op.tag = 1;
            core_.context_.device.submit(op, this);
        }
        core_.context_.device.wait();
        for (size_t i = 0; i < kOpCount; ++i) {
            if (ops_[i].tag == 1 && !ops_[i].under_way()) {
                requests[running[i]].ok = ops_[i].moved_all();
                ops_[i].tag = 0;
            }
            more = more || ops_[i].under_way();
        }
        more = more || next < requests.size();
    }
}

Status Recovery::sync(io::FileId file) {
    std::vector<Request> one{{file, 0, nullptr, 0}};
    transfer(one, io::StorageOp::Kind::kSync);
    if (!one[0].ok) return Errc::kIo;
    return {};
}

Status Recovery::run() {
    const uint64_t started_ns = core_.context_.device.now_ns();
    if (auto status = survey(); !status) return status;
    if (auto status = replay(); !status) return status;
    if (auto status = reopen(); !status) return status;
    core_.report_.duration_ns = core_.context_.device.now_ns() - started_ns;
    return {};
}

Status Recovery::survey() {
    const JournalOptions& options = core_.context_.options;
    io::Files& files = core_.context_.device.files();
    if (auto made = files.make_directory(options.directory); !made) return made;
    if (auto synced = files.sync_directory(""); !synced) return synced;
    const auto names = files.list(options.directory);
    if (!names) return names.error();
    for (const std::string& name : *names) {
        if (auto status = survey_file(name); !status) return status;
    }
    core_.pool_.reserve_names(next_file_);
    order_links();
    return {};
}

Status Recovery::survey_file(const std::string& name) {
    uint32_t index = 0;
    if (!parse_slot_name(name.c_str(), index)) return {};
    next_file_ = std::max(next_file_, index + 1);
    io::Files& files = core_.context_.device.files();
    auto segment = std::make_unique<Segment>();
    segment->path = core_.context_.options.directory + "/" + name;
    const auto file = files.open(segment->path);
    if (!file) return file.error();
    segment->file = *file;
    const auto size = files.size(*file);
    if (!size) return size.error();
    auto pages = io::AlignedBuffer::create(3 * kPageBytes);
    if (!pages) return pages.error();
    std::memset(pages->data(), 0, 3 * kPageBytes);
    if (*size >= 2 * kPageBytes && *size % kPageBytes == 0) {
        std::vector<Request> reads{
            {*file, 0, pages->data(), 2 * kPageBytes},
            {*file, *size - kPageBytes, pages->data() + 2 * kPageBytes, kPageBytes}};
        transfer(reads, io::StorageOp::Kind::kRead);
        // What cannot be read is damage, not an empty file.
        if (!reads[0].ok) std::memset(pages->data(), 0xFF, kPageBytes);
        if (!reads[1].ok) std::memset(pages->data() + 2 * kPageBytes, 0xFF, kPageBytes);
    }
    segment->header.segment_bytes = *size;
    return classify(std::move(segment), pages->data(), pages->data() + 2 * kPageBytes);
}

Status Recovery::classify(std::unique_ptr<Segment> segment, const std::byte* head,
                          const std::byte* tail) {
    JournalOptions& options = core_.context_.options;
    const uint64_t size = segment->header.segment_bytes;
    const auto header = load<SegmentHeader>(head);
    if (!verify(header)) {
        if (all_zero(head, 2 * kPageBytes) && all_zero(tail, kPageBytes)) {
            strays_.push_back(segment.get());  // Its making was interrupted.
            interrupted_ = true;
        } else {
            ++core_.context_.stats.damaged_run_count;
            ++core_.report_.damaged_run_count;
            core_.context_.device.files().close(segment->file);
            core_.chain_.note_headless();
            return {};  // Damage is left where it is.
        }
        found_.push_back(std::move(segment));
        return {};
    }
    if (header.format_version > kFormatVersionMax)
        return error_of(Errc::kNewerFormat, header.format_version);
    if (header.box_id_high != options.box_id_high || header.box_id_low != options.box_id_low ||
        header.journal_id != options.id.value) {
        return Errc::kForeignBox;
    }
    if (header.segment_bytes != size || size != options.segment_bytes)
        return error_of(Errc::kCorruptDirectory, size);
    segment->header = header;
    segment->header_written = true;
    if (header.kind == SegmentKind::kReady) {
        segment->state = Segment::State::kReady;
        ready_.push_back(segment.get());
    } else {
        Link link{segment.get(), false, 0};
        segment->trailer = load<Trailer>(tail);
        link.trailer_good = trailer_belongs(segment->trailer, header);
        if (link.trailer_good) link.exact_end = segment->trailer.end_bytes;
        if (header.kind == SegmentKind::kRelocated) link.exact_end = header.relocation.end_bytes;
        segment->state = link.trailer_good ? Segment::State::kSealed : Segment::State::kUnindexed;
        segment->durable_end = link.exact_end;
        incarnation_max_ = std::max(incarnation_max_, header.incarnation);
        links_.push_back(link);
    }
    found_.push_back(std::move(segment));
    return {};
}

void Recovery::order_links() {
    std::vector<SegmentHeader> headers;
    for (const Link& link : links_) headers.push_back(link.segment->header);
    std::vector<Link> kept;
    std::vector<bool> counts(links_.size(), false);
    for (const size_t i : order_segments(headers)) {
        kept.push_back(links_[i]);
        counts[i] = true;
    }
    bool cut_off = false;
    for (size_t i = 0; i < links_.size(); ++i) {
        if (counts[i]) continue;
        Segment* segment = links_[i].segment;
        strays_.push_back(segment);
        const auto by = std::find_if(kept.begin(), kept.end(), [&](const Link& link) {
            return replaces(link.segment->header, segment->header);
        });
        cut_off = cut_off || by == kept.end();
        // The files of what was replaced go only when the header that says so can't be lost any more.
        if (by != kept.end() && std::count(scanned_files_.begin(), scanned_files_.end(), by->segment->file) == 0)
            scanned_files_.push_back(by->segment->file);
    }
    links_ = std::move(kept);
    for (size_t i = 0; i + 1 < links_.size(); ++i) {
        Link& link = links_[i];
        const SegmentHeader& next = links_[i + 1].segment->header;
        if (link.exact_end == 0) link.exact_end = recorded_cut(link.segment->header, next);
        const Relocation& relocation = link.segment->header.relocation;
        if (relocation.rest_nonce != 0 && relocation.rest_nonce == next.nonce)
            links_[i + 1].segment->rest_offset = relocation.rest_offset;
    }
    clean_ = !cut_off && !interrupted_ && !links_.empty() && links_.back().trailer_good &&
             (links_.back().segment->trailer.flags & kTrailerClosed) != 0;
}

}  // namespace eagre::journal
