// The key file is made once, private, and refused when it is not; a sealed set of keys opens for the same box and key file only.
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/identity/key_file.h"
#include "wire/identity/key_set.h"

namespace eagre::identity {
namespace {

namespace fs = std::filesystem;

class KeyFile : public testing::Test {
  protected:
    KeyFile() : directory_(fs::temp_directory_path() / ("eagre-keyfile-" + std::to_string(getpid()))) {
        fs::remove_all(directory_);
        fs::create_directories(directory_);
    }
    ~KeyFile() override { fs::remove_all(directory_); }
    std::string path() const { return directory_ / kKeyFileName; }
    static Bytes32 random(uint8_t value) {
        Bytes32 bytes;
        bytes.fill(static_cast<std::byte>(value));
        return bytes;
    }
    fs::path directory_;
};

TEST_F(KeyFile, IsMadeOnceAndPrivate) {
    EXPECT_EQ(open_key_file(directory_, random(1)).value(), random(1));
    EXPECT_EQ(open_key_file(directory_, random(2)).value(), random(1));
    struct stat info {};
    ASSERT_EQ(stat(path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0600U);
    EXPECT_EQ(std::distance(fs::directory_iterator(directory_), {}), 1) << "a draft was left behind";
}

TEST_F(KeyFile, IsRefusedWhenOthersMayReadIt) {
    ASSERT_TRUE(open_key_file(directory_, random(1)).has_value());
    for (const mode_t mode : {0640U, 0604U, 0660U}) {
        ASSERT_EQ(chmod(path().c_str(), mode), 0);
        const auto opened = open_key_file(directory_, random(2));
        ASSERT_FALSE(opened.has_value());
        EXPECT_EQ(opened.error().code, Errc::kKeyFileUnsafe);
        EXPECT_EQ(opened.error().detail, mode);
    }
    ASSERT_EQ(chmod(path().c_str(), 0400), 0);
    EXPECT_TRUE(open_key_file(directory_, random(2)).has_value());
}

TEST_F(KeyFile, IsRefusedWhenItIsNotOne) {
    std::ofstream(path()) << "short";
    ASSERT_EQ(chmod(path().c_str(), 0600), 0);
    EXPECT_EQ(open_key_file(directory_, random(1)).error().code, Errc::kCorruptDirectory);
    fs::remove(path());
    fs::create_symlink("elsewhere", path());
    EXPECT_EQ(open_key_file(directory_, random(1)).error().code, Errc::kKeyFileUnsafe);
    EXPECT_EQ(open_key_file(directory_ / "nowhere", random(1)).error().code, Errc::kIo);
}

KeySet two_keys() {
    KeySet set;
    set.number = 9;
    for (uint64_t i = 1; i <= 2; ++i) {
        auto key = std::make_shared<Key>();
        key->id = key_id_text(i);
        key->name = "key-" + std::to_string(i);
        key->generation = i;
        key->expires_ns = i * 1000;
        key->verifier.fill(static_cast<std::byte>(i));
        key->policy = Policy::parse("put:a* get:*").value();
        set.keys.emplace(key->id, std::move(key));
    }
    return set;
}

TEST(KeySet, ComesBackFromItsFile) {
    Bytes32 master{};
    const auto file = seal_key_set(two_keys(), master, 1, 2, SealNonce{});
    const auto opened = open_key_set(file, master, 1, 2);
    ASSERT_TRUE(opened.has_value());
    EXPECT_EQ((*opened)->number, 9U);
    ASSERT_EQ((*opened)->keys.size(), 2U);
    const Key& key = **(*opened)->find("ek-0000000000000002");
    EXPECT_EQ(key.name, "key-2");
    EXPECT_EQ(key.generation, 2U);
    EXPECT_EQ(key.verifier[0], std::byte{2});
    EXPECT_EQ(key.policy.text(), "put:a* get:*");
    EXPECT_TRUE(key.expired(2000));
    EXPECT_FALSE(key.expired(1999));
    EXPECT_EQ((*opened)->find("ek-0000000000000003"), nullptr);
}

TEST(KeySet, OpensForTheSameBoxAndKeyFileOnly) {
    const Bytes32 master{};
    Bytes32 other{};
    other[0] = std::byte{1};
    auto file = seal_key_set(two_keys(), master, 1, 2, SealNonce{});
    EXPECT_EQ(open_key_set(file, other, 1, 2).error().code, Errc::kCorruptDirectory);
    EXPECT_EQ(open_key_set(file, master, 2, 2).error().code, Errc::kCorruptDirectory);
    EXPECT_EQ(open_key_set({}, master, 1, 2).error().code, Errc::kCorruptDirectory);
    for (const size_t at : {size_t{0}, size_t{8}, size_t{30}, file.size() - 1}) {
        file[at] ^= std::byte{1};
        EXPECT_EQ(open_key_set(file, master, 1, 2).error().code, Errc::kCorruptDirectory) << at;
        file[at] ^= std::byte{1};
    }
    const auto text = std::string_view(reinterpret_cast<const char*>(file.data()), file.size());
    EXPECT_EQ(text.find("key-1"), std::string_view::npos) << "names lie open";
}

}  // namespace
}  // namespace eagre::identity
