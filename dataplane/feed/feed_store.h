#pragma once
// DATA/feeds.set: the feeds this box serves, so that it goes on capturing after a restart without control. Blocking: used at start and when an
// operator changes a feed.

#include "dataplane/io/files.h"
#include "wire/feeds/spec/feed_spec.h"

namespace eagre::feed {

/// An empty set when there is no file yet. Errors: kCorruptDirectory, kIo.
Result<feeds::FeedSetPointer> load_feeds(io::Files& files);
/// Durable when it returns. Errors: kDiskFull, kIo.
Status store_feeds(io::Files& files, const feeds::FeedSet& set);

}  // namespace eagre::feed
