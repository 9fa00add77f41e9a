#include "dataplane/feed/feed_store.h"

namespace eagre::feed {
namespace {

constexpr std::string_view kFile = "feeds.set";

}  // namespace

Result<feeds::FeedSetPointer> load_feeds(io::Files& files) {
    if (!files.exists(kFile)) return feeds::FeedSetPointer(std::make_shared<feeds::FeedSet>());
    const auto bytes = files.read_all(kFile);
    if (!bytes) return bytes.error();
    return feeds::decode_feed_file(*bytes);
}

Status store_feeds(io::Files& files, const feeds::FeedSet& set) { return files.replace(kFile, feeds::encode_feed_file(set)); }

}  // namespace eagre::feed
