#pragma once
// Builds a tree from the events of a parser: open, values, close. Children of one node lie side by side.

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "control/gateway/document/document.h"

namespace eagre::gateway {

class NodeBuilder {
  public:
    explicit NodeBuilder(Document& document) : document_(document) {}

    /// False from any of these: a bound is passed.
    bool open(Node::Kind kind) {
        if (opened_.size() >= kDepthMax) return false;
        opened_.push_back({kind, waiting_.size()});
        return true;
    }
    bool add(const Node& node) {
        waiting_.push_back(node);
        return ++count_ <= kNodeCountMax;
    }
    bool close() {
        const auto [kind, from] = opened_.back();
        opened_.pop_back();
        Node node;
        node.kind = kind;
        if (const size_t count = waiting_.size() - from; count != 0) {
            auto& block = document_.blocks_.emplace_back(std::make_unique<Node[]>(count));
            std::copy(waiting_.begin() + static_cast<std::ptrdiff_t>(from), waiting_.end(), block.get());
            node.children = {block.get(), count};
        }
        waiting_.resize(from);
        return add(node);
    }
    /// Text that the input does not have in one piece.
    std::string_view keep(std::string text) {
        return *document_.texts_.emplace_back(std::make_unique<std::string>(std::move(text)));
    }
    /// The one node that is left.
    const Node* finish() {
        if (waiting_.size() != 1 || !opened_.empty()) return nullptr;
        document_.root_ = waiting_.front();
        return &document_.root_;
    }

  private:
    struct Open {
        Node::Kind kind;
        size_t from;
    };
    Document& document_;
    std::vector<Node> waiting_;
    std::vector<Open> opened_;
    size_t count_ = 0;
};

}  // namespace eagre::gateway
