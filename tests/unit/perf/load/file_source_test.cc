// Reads the same lines plain, gzipped and zipped (archives are made by libarchive in a temporary
// folder) and expects the same records; then bad input: no file, a folder, an archive of two files,
// a damaged gzip.
#include "perf/load/file_source.h"

#include <filesystem>
#include <fstream>

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "perf/load/preload.h"

namespace eagre::load {
namespace {

namespace fs = std::filesystem;

class FileSourceTest : public testing::Test {
  protected:
    FileSourceTest() {
        std::string pattern = (fs::temp_directory_path() / "eagre-file-source-XXXXXX").string();
        folder_ = mkdtemp(pattern.data());
    }
    ~FileSourceTest() override { fs::remove_all(folder_); }

    std::string write(const std::string& name, const std::string& text) {
        const std::string path = folder_ / name;
        std::ofstream(path, std::ios::binary) << text;
        return path;
    }
    std::string write_archive(const std::string& name, const std::vector<std::string>& texts) {
        const std::string path = folder_ / name;
        archive* out = archive_write_new();
        if (path.ends_with(".gz")) {
            archive_write_add_filter_gzip(out);
            archive_write_set_format_raw(out);
        } else {
            archive_write_set_format_zip(out);
        }
        EXPECT_EQ(archive_write_open_filename(out, path.c_str()), ARCHIVE_OK);
        for (size_t i = 0; i < texts.size(); ++i) {
            archive_entry* entry = archive_entry_new();
            archive_entry_set_pathname(entry, ("file" + std::to_string(i)).c_str());
            archive_entry_set_filetype(entry, AE_IFREG);
            archive_entry_set_perm(entry, 0644);
            archive_entry_set_size(entry, static_cast<la_int64_t>(texts[i].size()));
            EXPECT_EQ(archive_write_header(out, entry), ARCHIVE_OK);
            archive_write_data(out, texts[i].data(), texts[i].size());
            archive_entry_free(entry);
        }
        archive_write_close(out);
        archive_write_free(out);
        return path;
    }

    fs::path folder_;
};

using Pairs = std::vector<std::pair<std::string, std::string>>;

Pairs read_all(RecordSource& source) {
    Pairs records;
    while (const auto record = source.next()) {
        records.emplace_back(
            record->partition_key,
            std::string(reinterpret_cast<const char*>(record->data.data()), record->data.size()));
    }
    return records;
}

const std::string kCsv = "1,A,x\r\n2,B,y\n\n3,A,z";
const Pairs kCsvRecords = {{"A", "1,A,x"}, {"B", "2,B,y"}, {"A", "3,A,z"}};

TEST_F(FileSourceTest, PlainGzipAndZipGiveTheSameRecords) {
    const KeyRuleOptions key{.fixed = {}, .csv_column = 2, .json_field = {}};
    for (const std::string& path :
         {write("a.csv", kCsv), write_archive("a.gz", {kCsv}), write_archive("a.zip", {kCsv})}) {
        FileSource source(path, key);
        EXPECT_EQ(read_all(source), kCsvRecords) << path;
        EXPECT_FALSE(source.next()) << "the end stays the end";
        source.rewind();
        EXPECT_EQ(read_all(source), kCsvRecords) << path;
    }
}

TEST_F(FileSourceTest, LongInputCrossesReadBuffers) {
    std::string text;
    Pairs wanted;
    for (int i = 0; i < 60'000; ++i) {
        const std::string line = std::to_string(i) + std::string(static_cast<size_t>(i % 37), 'x');
        wanted.emplace_back("line-" + std::to_string(static_cast<uint64_t>(i) % kLineKeyCount),
                            line);
        text += line + "\n";
    }
    FileSource source(write_archive("long.gz", {text}), {});
    EXPECT_EQ(read_all(source), wanted);
}

TEST_F(FileSourceTest, EmptyFileHasNoRecords) {
    FileSource source(write("empty", ""), {});
    EXPECT_FALSE(source.next());
}

TEST_F(FileSourceTest, SaysWhatIsWrongWithTheInput) {
    const auto reason = [](const std::string& path) -> std::string {
        try {
            FileSource source(path, {});
            while (source.next()) {
            }
        } catch (const std::runtime_error& error) {
            return error.what();
        }
        return "";
    };
    EXPECT_NE(reason((folder_ / "nowhere").string()).find("no such file"), std::string::npos);
    EXPECT_NE(reason(folder_.string()).find("is a directory"), std::string::npos);
    EXPECT_NE(reason(write_archive("two.zip", {"a\n", "b\n"})).find("more than one file"),
              std::string::npos);
    const std::string gzip = write_archive("cut.gz", {std::string(100'000, 'x')});
    fs::resize_file(gzip, fs::file_size(gzip) / 2);
    EXPECT_NE(reason(gzip), "");
}

TEST_F(FileSourceTest, PreloadingGivesTheSameHoweverMuchFits) {
    const std::string path = write("a.csv", kCsv);
    const KeyRuleOptions key{.fixed = {}, .csv_column = 2, .json_field = {}};
    for (const uint64_t fits : {0U, 2U, 3U, 10U}) {
        PreloadedSource source(std::make_unique<FileSource>(path, key), fits);
        EXPECT_EQ(source.complete(), fits > 3);
        EXPECT_EQ(read_all(source), kCsvRecords) << fits;
        source.rewind();
        EXPECT_EQ(read_all(source), kCsvRecords) << fits;
    }
}

}  // namespace
}  // namespace eagre::load
