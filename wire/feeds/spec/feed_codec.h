#pragma once
// A feed, and the set of all, as they go over the wire and lie on disk (wire/schema/feed.fbs).

#include <cstddef>
#include <span>
#include <vector>

#include <flatbuffers/flatbuffers.h>

#include "wire/base/result.h"
#include "wire/feeds/spec/feed_spec.h"
#include "wire/schema/feed_generated.h"

namespace eagre::feeds {

/// A verified table. What it says is looked at by feeds::check (wire/feeds/feed_check.h). Errors: kBadArgument (longer than any may be; detail = its id).
Result<FeedSpec> feed_spec_from(const wire::FeedInfo& table);
flatbuffers::Offset<wire::FeedInfo> pack_feed(flatbuffers::FlatBufferBuilder& builder, const FeedSpec& spec);
/// Null is an empty set. Errors: as above, and kLimitExceeded, kBadArgument (an id twice).
Result<FeedSetPointer> feed_set_from(const wire::FeedSet* table);
flatbuffers::Offset<wire::FeedSet> pack_feed_set(flatbuffers::FlatBufferBuilder& builder, const FeedSet& set);

/// The file DATA/feeds.set: 8 bytes "EAGRFEED", CRC-32C (u32) and length (u32) of the table, then the table.
std::vector<std::byte> encode_feed_file(const FeedSet& set);
/// Errors: kCorruptDirectory.
Result<FeedSetPointer> decode_feed_file(std::span<const std::byte> file);

}  // namespace eagre::feeds
