#pragma once
// HTTP/1.1 requests out of a stream of bytes, one after the other (RFC 9112). Strict where laxness lets two readers of one stream see
// different requests: lengths said twice or in two ways, blanks before colons, folded lines, bare line feeds. No sockets, no clock.

#include <cstdint>
#include <string>
#include <string_view>

#include "control/gateway/http/message.h"

namespace eagre::gateway {

class Http1Parser {
  public:
    enum class Step : uint8_t {
        kMore,      // Feed more.
        kContinue,  // The client waits for "100 Continue" before it sends the body. Told once a request.
        kRequest,   // take() it.
        kBad,       // Not a request: answer status() and close.
    };
    /// Takes what it can from the front of `input`. After kRequest the rest stays there: it is the next request's.
    Step advance(std::string& input);
    Request take();
    /// 400, 413 (body), 431 (head), 501 (transfer coding), 505 (version).
    int status() const { return status_; }
    /// Of the body, so far.
    size_t body_bytes() const { return request_.body.size(); }
    /// Something of a request has come and not all of it.
    bool in_request() const { return state_ != State::kHead; }

  private:
    enum class State : uint8_t { kHead, kBody, kChunkSize, kChunkData, kChunkEnd, kTrailer, kReady };
    Step bad(int status) {
        status_ = status;
        return Step::kBad;
    }
    bool parse_head(std::string_view head);
    bool parse_header(std::string_view line);
    bool frame_body();
    Step chunk_size(std::string& input);

    State state_ = State::kHead;
    Request request_;
    uint64_t left_ = 0;  // Bytes of body or chunk.
    size_t scanned_ = 0;
    bool chunked_ = false;
    bool continues_ = false;
    size_t trailer_bytes_ = 0;
    int status_ = 400;
};

}  // namespace eagre::gateway
