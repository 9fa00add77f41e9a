#include "perf/load/file_source.h"

#include <array>
#include <filesystem>
#include <stdexcept>

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include "perf/load/lines.h"

namespace eagre::load {
namespace {

constexpr size_t kReadBytes = 256 * 1024;

struct ArchiveFree {
    void operator()(archive* handle) const { archive_read_free(handle); }
};

}  // namespace

struct FileSource::Impl {
    Impl(std::string path_in, KeyRuleOptions key_in)
        : path(std::move(path_in)), key(std::move(key_in)) {
        open();
    }

    [[noreturn]] void fail(const std::string& reason) const {
        throw std::runtime_error(fmt::format("{}: {}", path, reason));
    }
    [[noreturn]] void fail_archive() const {
        const char* text = archive_error_string(handle.get());
        fail(text != nullptr ? text : "cannot be read");
    }

    void open() {
        std::error_code error;
        if (!std::filesystem::exists(path, error)) fail("no such file");
        if (std::filesystem::is_directory(path, error)) fail("is a directory");
        handle.reset(archive_read_new());
        if (!handle) fail("out of memory");
        archive_read_support_filter_all(handle.get());
        archive_read_support_format_zip(handle.get());
        archive_read_support_format_raw(handle.get());
        archive_read_support_format_empty(handle.get());
        if (archive_read_open_filename(handle.get(), path.c_str(), kReadBytes) != ARCHIVE_OK)
            fail_archive();
        lines = LineSplitter();
        number = 0;
        at_end = !next_file();
        if (at_end) lines.finish();
    }

    /// Steps to the next regular file of the archive (a file that is no archive is one of itself).
    bool next_file() {
        for (;;) {
            archive_entry* entry = nullptr;
            const int result = archive_read_next_header(handle.get(), &entry);
            if (result == ARCHIVE_EOF) return false;
            if (result != ARCHIVE_OK && result != ARCHIVE_WARN) fail_archive();
            const auto type = archive_entry_filetype(entry);
            if (type == AE_IFREG || type == 0) return true;
        }
    }

    /// False at the end of the input.
    bool fill() {
        if (at_end) return false;
        const la_ssize_t got = archive_read_data(handle.get(), buffer.data(), buffer.size());
        if (got < 0) fail_archive();
        if (got > 0) {
            lines.feed(std::span(buffer.data(), static_cast<size_t>(got)));
            return true;
        }
        if (next_file()) fail("holds more than one file; give it one (unzip it first)");
        at_end = true;
        lines.finish();
        return true;
    }

    std::string path;
    KeyRule key;
    std::unique_ptr<archive, ArchiveFree> handle;
    LineSplitter lines;
    uint64_t number = 0;
    bool at_end = false;
    std::array<char, kReadBytes> buffer{};
};

FileSource::FileSource(std::string path, KeyRuleOptions key)
    : impl_(std::make_unique<Impl>(std::move(path), std::move(key))) {}
FileSource::~FileSource() = default;

std::optional<frame::RecordView> FileSource::next() {
    std::string_view line;
    while (!impl_->lines.next(line)) {
        if (!impl_->fill()) return std::nullopt;
    }
    frame::RecordView record;
    record.partition_key = impl_->key.key_of(line, impl_->number++);
    record.data = std::as_bytes(std::span(line.data(), line.size()));
    return record;
}

void FileSource::rewind() {
    impl_->open();
}

std::string FileSource::description() const {
    return "lines of " + std::filesystem::path(impl_->path).filename().string();
}

const KeyRule& FileSource::key_rule() const {
    return impl_->key;
}

}  // namespace eagre::load
