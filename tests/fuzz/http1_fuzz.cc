// Any bytes as HTTP/1.1. Input: how many come at once (1 byte), then what comes. However they are cut, the same requests must come out, and
// within the limits.
#include <cstdlib>

#include "control/gateway/http/http1_parser.h"
#include "tests/fuzz/fuzz_input.h"

using namespace eagre;
using gateway::Http1Parser;
using gateway::Request;

namespace {

struct Outcome {
    std::vector<Request> requests;
    int status = 0;  // 0: it was never refused.
};

void check(const Request& request) {
    size_t head_bytes = request.method.size() + request.target.size();
    for (const auto& [name, value] : request.headers) {
        head_bytes += name.size() + value.size();
        for (const char c : name) {
            if (c >= 'A' && c <= 'Z') std::abort();
        }
        for (const char c : value) {
            if (c == '\r' || c == '\n' || c == '\0') std::abort();
        }
    }
    if (request.headers.size() > gateway::kHeaderCountMax || head_bytes > gateway::kHeadBytesMax || request.body.size() > gateway::kBodyBytesMax) std::abort();
}

Outcome feed(std::string_view bytes, size_t grain) {
    Http1Parser parser;
    Outcome outcome;
    std::string input;
    while (!bytes.empty()) {
        const size_t count = std::min(grain, bytes.size());
        input.append(bytes.substr(0, count));
        bytes.remove_prefix(count);
        for (bool more = true; more;) {
            switch (parser.advance(input)) {
                case Http1Parser::Step::kMore: more = false; break;
                case Http1Parser::Step::kContinue: break;
                case Http1Parser::Step::kBad: outcome.status = parser.status(); return outcome;
                case Http1Parser::Step::kRequest:
                    outcome.requests.push_back(parser.take());
                    check(outcome.requests.back());
                    break;
            }
        }
    }
    return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 1) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    const Outcome whole = feed(bytes, SIZE_MAX);
    const Outcome cut = feed(bytes, data[0] % 37U + 1);
    if (whole.status != cut.status || whole.requests.size() != cut.requests.size()) std::abort();
    for (size_t i = 0; i < whole.requests.size(); ++i) {
        if (whole.requests[i].body != cut.requests[i].body || whole.requests[i].headers != cut.requests[i].headers) std::abort();
    }
    return 0;
}
