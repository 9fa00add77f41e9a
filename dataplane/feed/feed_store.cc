#include "dataplane/feed/feed_store.h"

#include <algorithm>

#include "wire/feeds/feed_check.h"
#include "wire/feeds/spec/feed_codec.h"

namespace eagre::feed {
namespace {

constexpr std::string_view kFile = "feeds.set";

}  // namespace

Result<feeds::FeedSetPointer> load_feeds(io::Files& files) {
    if (!files.exists(kFile)) return feeds::FeedSetPointer(std::make_shared<feeds::FeedSet>());
    const auto bytes = files.read_all(kFile);
    if (!bytes) return bytes.error();
    auto set = feeds::decode_feed_file(*bytes);
    if (!set) return set.error();
    const auto& specs = (*set)->feeds;
    if (!std::all_of(specs.begin(), specs.end(), [](const auto& spec) { return feeds::check(spec).empty(); })) return Errc::kCorruptDirectory;
    return set;
}

Status store_feeds(io::Files& files, const feeds::FeedSet& set) { return files.replace(kFile, feeds::encode_feed_file(set)); }

}  // namespace eagre::feed
