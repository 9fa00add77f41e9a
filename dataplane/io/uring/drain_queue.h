#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace eagre::io {

/// First in, first out; filled in one burst and drained in another, so that one vector serves
/// without allocating again.
template <class T>
class DrainQueue {
  public:
    explicit DrainQueue(size_t count) { items_.reserve(count); }
    void push(const T& item) { items_.push_back(item); }
    size_t drain(std::span<T> target) {
        size_t count = 0;
        while (count < target.size() && next_ < items_.size()) target[count++] = items_[next_++];
        if (next_ == items_.size()) {
            items_.clear();
            next_ = 0;
        }
        return count;
    }

  private:
    std::vector<T> items_;
    size_t next_ = 0;
};

}  // namespace eagre::io
