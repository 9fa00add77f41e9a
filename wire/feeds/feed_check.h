#pragma once
// Whether a feed can be served.

#include <string>

#include "wire/feeds/spec/feed_spec.h"

namespace eagre::feeds {

/// A name, one or two lines with numeric addresses and ports, of one IP version each with its source, groups only where
/// there is a source, two lines only where messages are numbered, a key rule that can be read. Returns what is wrong, for people; empty: nothing.
std::string check(const FeedSpec& spec);

}  // namespace eagre::feeds
