// Any bytes as the body of a call, JSON or CBOR (1 byte: which, and of which operation). What is parsed can be read to its last byte; what
// passes the checks of an operation has the types that it relies on.
#include <cstdlib>

#include "control/gateway/document/base64.h"
#include "control/gateway/document/document.h"
#include "control/gateway/document/writer.h"
#include "control/gateway/model/shapes.h"
#include "tests/fuzz/fuzz_input.h"

using namespace eagre;
using namespace eagre::gateway;

namespace {

const Shape* const kShapes[] = {&shapes::kCreateStream,     &shapes::kPutRecord,       &shapes::kPutRecords,        &shapes::kGetShardIterator,
                                &shapes::kSubscribeToShard, &shapes::kListShards,      &shapes::kAddTags,           &shapes::kEnhancedMonitoring,
                                &shapes::kPutResourcePolicy, &shapes::kUpdateStreamMode, &shapes::kUpdateDistribution, &shapes::kUpdateAccountSettings};

size_t count_nodes(const Node& node, size_t depth) {
    if (depth > kDepthMax) std::abort();
    fuzz::keep(fuzz::touch(std::as_bytes(std::span(node.text))));
    size_t count = 1;
    for (const Node& child : node.children) count += count_nodes(child, depth + 1);
    if (node.kind == Node::Kind::kMap) {
        for (size_t i = 0; i < node.children.size(); i += 2) {
            if (node.children[i].kind != Node::Kind::kText) std::abort();
        }
    }
    return count;
}

/// All that came in goes out again in the other encoding, and comes back.
void write(Writer& writer, const Node& node) {
    switch (node.kind) {
        case Node::Kind::kText: writer.text(node.text); break;
        case Node::Kind::kBlob: writer.blob(node.text); break;
        case Node::Kind::kList:
            writer.begin_list();
            for (const Node& child : node.children) write(writer, child);
            writer.end_list();
            break;
        case Node::Kind::kMap:
            writer.begin_map();
            for (size_t i = 0; i < node.children.size(); i += 2) {
                writer.name("name");
                write(writer, node.children[i + 1]);
            }
            writer.end_map();
            break;
        case Node::Kind::kBoolean: writer.boolean(node.boolean); break;
        default: writer.integer(node.integer); break;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 1) return 0;
    static Document document;
    static Document again;
    const Encoding encoding = data[0] % 2 == 0 ? Encoding::kJson : Encoding::kCbor;
    const Shape& shape = *kShapes[data[0] / 2 % std::size(kShapes)];
    std::string body;
    body.reserve(size - 1 + kPaddingBytes);
    body.assign(reinterpret_cast<const char*>(data) + 1, size - 1);
    const Node* root = document.parse(encoding, body);
    if (root == nullptr) return 0;
    if (count_nodes(*root, 0) > kNodeCountMax) std::abort();
    if (const auto fault = check(shape, *root, encoding)) {
        if (fault->type.empty()) std::abort();
    } else if (const Node* blob = root->member("Data"); blob != nullptr && blob->kind == Node::Kind::kText && &shape == &shapes::kPutRecord) {
        const auto bytes = decode_base64(blob->text);
        if (bytes && bytes->size() > blob->text.size() / 4 * 3) std::abort();
    }
    const Encoding other = encoding == Encoding::kJson ? Encoding::kCbor : Encoding::kJson;
    Writer writer(other);
    write(writer, *root);
    std::string text = writer.take();
    text.reserve(text.size() + kPaddingBytes);
    // JSON has to be UTF-8, and a CBOR text need not be.
    if (again.parse(other, text) == nullptr && other == Encoding::kCbor) std::abort();
    return 0;
}
