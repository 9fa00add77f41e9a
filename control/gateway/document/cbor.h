#pragma once
// CBOR (RFC 8949) as AWS's SDKs write it: all lengths definite or not, integers of any width, half to double floats, and tag 1 with
// MILLISECONDS, which breaks the RFC on purpose. Other tags are read through.

#include <string_view>

#include "control/gateway/document/node_builder.h"

namespace eagre::gateway {

/// Adds the one item that `body` is. False: it is not one, text is not UTF-8, or a bound is passed.
bool add_cbor(NodeBuilder& builder, std::string_view body);

}  // namespace eagre::gateway
