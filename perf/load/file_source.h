#pragma once
// Records of a file: CSV, NDJSON or plain lines, one record a line; plain, .gz (and the other
// single-stream filters of libarchive) or a .zip that holds one file.

#include <memory>
#include <string>

#include "perf/load/key_rule.h"
#include "perf/load/record_source.h"

namespace eagre::load {

class FileSource final : public RecordSource {
  public:
    /// Throws std::runtime_error with the path and the reason when the file cannot be opened, or is
    /// an archive of several files.
    FileSource(std::string path, KeyRuleOptions key);
    ~FileSource() override;

    std::optional<frame::RecordView> next() override;
    void rewind() override;
    std::string description() const override;

    const KeyRule& key_rule() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace eagre::load
