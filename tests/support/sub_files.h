#pragma once
// A further data directory on a simulated disk: a folder of it, seen as a root of its own.

#include <memory>
#include <string>
#include <vector>

#include "dataplane/io/files.h"

namespace eagre::test {

class SubFiles final : public io::Files {
  public:
    SubFiles(io::Files& disk, std::string folder)
        : disk_(disk), folder_(std::move(folder)), prefix_(folder_ + "/") {}

    Result<std::vector<std::string>> list(std::string_view directory) override {
        return disk_.list(directory.empty() ? folder_ : at(directory));
    }
    bool exists(std::string_view path) override { return disk_.exists(at(path)); }
    Status make_directory(std::string_view path) override { return disk_.make_directory(at(path)); }
    Status sync_directory(std::string_view path) override {
        return disk_.sync_directory(path.empty() ? folder_ : at(path));
    }
    Result<io::FileId> open(std::string_view path) override { return disk_.open(at(path)); }
    Result<io::FileId> create(std::string_view path, uint64_t bytes) override {
        return disk_.create(at(path), bytes);
    }
    Result<uint64_t> size(io::FileId file) override { return disk_.size(file); }
    void close(io::FileId file) override { disk_.close(file); }
    Status remove(std::string_view path) override { return disk_.remove(at(path)); }
    Status rename(std::string_view from, std::string_view to) override {
        return disk_.rename(at(from), at(to));
    }
    Result<std::vector<std::byte>> read_all(std::string_view path) override {
        return disk_.read_all(at(path));
    }
    Status replace(std::string_view path, std::span<const std::byte> bytes) override {
        return disk_.replace(at(path), bytes);
    }
    Status lock(std::string_view path) override { return disk_.lock(at(path)); }
    uint32_t block_bytes() const override { return disk_.block_bytes(); }
    Result<uint64_t> free_bytes() override { return disk_.free_bytes(); }

  private:
    std::string at(std::string_view path) const { return prefix_ + std::string(path); }

    io::Files& disk_;
    std::string folder_;
    std::string prefix_;
};

/// An OpenRoot (dataplane/directory_set.h) over folders of a disk. Keeps what it has opened.
class SubRoots {
  public:
    explicit SubRoots(io::Files& disk) : disk_(disk) {}
    Result<io::Files*> open(const std::string& path, bool create) {
        if (create) {
            if (const Status made = disk_.make_directory(path); !made) return made.error();
            if (const Status synced = disk_.sync_directory(""); !synced) return synced.error();
        }
        if (!disk_.exists(path)) return Errc::kIo;
        roots_.push_back(std::make_unique<SubFiles>(disk_, path));
        return roots_.back().get();
    }

  private:
    io::Files& disk_;
    std::vector<std::unique_ptr<SubFiles>> roots_;
};

}  // namespace eagre::test
