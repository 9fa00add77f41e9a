// simdjson's DOM: an application of several GB a second to bodies that are mostly base64; whatever it accepts is valid UTF-8.
#include "control/gateway/document/document.h"

#include <simdjson.h>

#include "control/gateway/document/cbor.h"
#include "control/gateway/document/node_builder.h"

namespace eagre::gateway {

struct Document::Json {
    simdjson::dom::parser parser;
};

namespace {

static_assert(kPaddingBytes >= simdjson::SIMDJSON_PADDING);

bool add_element(NodeBuilder& builder, simdjson::dom::element element) {
    Node node;
    switch (element.type()) {
        case simdjson::dom::element_type::OBJECT: {
            if (!builder.open(Node::Kind::kMap)) return false;
            for (const auto& [name, value] : simdjson::dom::object(element)) {
                node.kind = Node::Kind::kText;
                node.text = name;
                if (!builder.add(node) || !add_element(builder, value)) return false;
            }
            return builder.close();
        }
        case simdjson::dom::element_type::ARRAY: {
            if (!builder.open(Node::Kind::kList)) return false;
            for (const auto& value : simdjson::dom::array(element)) {
                if (!add_element(builder, value)) return false;
            }
            return builder.close();
        }
        case simdjson::dom::element_type::STRING:
            node.kind = Node::Kind::kText;
            node.text = std::string_view(element);
            return builder.add(node);
        case simdjson::dom::element_type::INT64:
            node.kind = Node::Kind::kInteger;
            node.integer = int64_t(element);
            return builder.add(node);
        case simdjson::dom::element_type::UINT64:  // Beyond int64: as large as it gets.
            node.kind = Node::Kind::kInteger;
            node.integer = INT64_MAX;
            return builder.add(node);
        case simdjson::dom::element_type::DOUBLE:
            node.kind = Node::Kind::kDecimal;
            node.decimal = double(element);
            return builder.add(node);
        case simdjson::dom::element_type::BOOL:
            node.kind = Node::Kind::kBoolean;
            node.boolean = bool(element);
            return builder.add(node);
        default:
            return builder.add(node);
    }
}

}  // namespace

Document::Document() : json_(std::make_unique<Json>()) {}
Document::~Document() = default;

const Node* Document::parse(Encoding encoding, std::string& body) {
    blocks_.clear();
    texts_.clear();
    NodeBuilder builder(*this);
    if (encoding == Encoding::kCbor) return add_cbor(builder, body) ? builder.finish() : nullptr;
    if (body.capacity() < body.size() + kPaddingBytes) body.reserve(body.size() + kPaddingBytes);
    simdjson::dom::element root;
    if (json_->parser.parse(body.data(), body.size(), false).get(root) != simdjson::SUCCESS) return nullptr;
    return add_element(builder, root) ? builder.finish() : nullptr;
}

}  // namespace eagre::gateway
