// Any bytes behind the preface of HTTP/2, in pieces (1 byte: how large). Every request that comes out is answered, in one of the ways there
// are; what is kept stays within the limits.
#include <cstdlib>

#include "control/gateway/http/http2_session.h"
#include "tests/fuzz/fuzz_input.h"

using namespace eagre;
using gateway::Http2Session;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 1) return 0;
    Http2Session session;
    std::string bytes(gateway::kHttp2Preface);
    bytes.append(reinterpret_cast<const char*>(data) + 1, size - 1);
    const size_t grain = data[0] * 7U + 1;
    uint64_t now_ns = 0;
    int32_t streaming = 0;
    for (size_t at = 0; at < bytes.size() && !session.finished(); at += grain) {
        const bool alive = session.receive(std::string_view(bytes).substr(at, grain), ++now_ns);
        for (const int32_t closed : session.take_closed()) streaming = closed == streaming ? 0 : streaming;
        for (auto& [stream, request] : session.take_requests()) {
            if (request.headers.size() > gateway::kHeaderCountMax || request.body.size() > gateway::kBodyBytesMax) std::abort();
            if (streaming == 0) {
                streaming = stream;
                session.begin(stream, {200, {{"content-type", "text/plain"}}, {}}, "date");
                session.append(stream, "first");
            } else {
                session.respond(stream, {200, {}, request.body}, "date");
            }
        }
        if (streaming != 0) session.append(streaming, "more");
        if (session.open_count() > gateway::kHttp2StreamsMax || session.body_bytes() > gateway::kHttp2BodiesBytesMax) std::abort();
        fuzz::keep(session.oldest_ns());
        std::string out;
        session.output(out, 4096);
        fuzz::keep(out.size());
        if (!alive) break;
    }
    if (streaming != 0) session.finish(streaming);
    return 0;
}
