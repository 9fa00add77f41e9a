#pragma once
// The tables of wire/schema/control.fbs to and from the plain data of catalog/ and streams/.

#include <span>

#include <flatbuffers/flatbuffers.h>

#include "control/catalog/catalog.h"
#include "control/streams/facts.h"
#include "wire/base/result.h"
#include "wire/schema/control_generated.h"

namespace eagre::channel {

/// Verifies `payload` as a CommandReply. Null when it lies about offsets, depth or counts.
const wire::CommandReply* verify_reply(std::span<const std::byte> payload);

/// The facts of a verified reply. Streams and shards with id 0, which no id ever is, are left out.
streams::Facts facts_from(const wire::CommandReply& reply);

/// `shards` may be null: the command names the stream only.
flatbuffers::Offset<wire::StreamInfo> encode_stream(flatbuffers::FlatBufferBuilder& builder,
                                                    const catalog::StreamRow& stream,
                                                    const std::vector<catalog::ShardRow>* rows);

}  // namespace eagre::channel
