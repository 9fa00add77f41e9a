#pragma once
// Parses the body of a request, JSON or CBOR, into Nodes. Bounded: depth, nodes and bytes; whatever is sent, work is linear in its
// length. One Document serves one request after the other and keeps its memory.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "control/gateway/document/node.h"

namespace eagre::gateway {

enum class Encoding : uint8_t { kJson, kCbor };

inline constexpr size_t kDepthMax = 32;
inline constexpr size_t kNodeCountMax = 64 * 1024;  // 500 records of 8 nodes are 4,000.

class Document {
  public:
    Document();
    ~Document();
    Document(const Document&) = delete;
    Document& operator=(const Document&) = delete;

    /// The root, or null: the body is not of that encoding, too deep or of too many nodes. `body` must live as long as the nodes, and
    /// have room for kPaddingBytes more behind its end (body.capacity()).
    const Node* parse(Encoding encoding, std::string& body);

  private:
    friend class NodeBuilder;
    struct Json;
    std::unique_ptr<Json> json_;
    std::vector<std::unique_ptr<Node[]>> blocks_;
    std::vector<std::unique_ptr<std::string>> texts_;  // Put together from pieces (CBOR of indefinite length).
    Node root_;
};

/// Behind a body, for parsers that read in large steps.
inline constexpr size_t kPaddingBytes = 64;

}  // namespace eagre::gateway
