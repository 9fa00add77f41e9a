// Any bytes as the texts that clients bring back or make: iterators, page tokens, sequence numbers, ARNs, signatures, policies, event
// messages' base64 (1 byte: which). None may be taken for one of ours that is not.
#include <cstdlib>

#include "control/gateway/document/base64.h"
#include "control/gateway/model/iterator.h"
#include "control/gateway/model/names.h"
#include "control/gateway/model/page_token.h"
#include "control/gateway/model/resource_policy.h"
#include "control/gateway/model/signature.h"
#include "control/gateway/model/stream_notes.h"
#include "tests/fuzz/fuzz_input.h"

using namespace eagre;
using namespace eagre::gateway;

namespace {

constexpr uint64_t kNowMs = 1'700'000'000'000;

void try_names(std::string_view text) {
    if (const auto number = parse_shard_name(text); number && parse_shard_name(shard_name(*number)) != number) std::abort();
    if (const auto key = parse_hash_key(text); key && parse_hash_key(hash_key_text(*key)) != key) std::abort();
    const SequenceNumbers numbers(kNowMs * 1'000'000, ShardId{3});
    if (const auto number = numbers.parse(text); number && numbers.parse(numbers.text(*number)) != number) std::abort();
    if (const auto at = numbers.parse_at(text)) fuzz::keep(at->value);
    if (const auto arn = parse_consumer_arn(text)) fuzz::keep(arn->stream.size() + arn->consumer.size());
    if (const auto stream = stream_of_arn(text)) fuzz::keep(stream->size());
}

/// The first line: the request's target; then headers, "name:value"; then the body.
void try_signature(std::string_view text) {
    Request request;
    request.method = "POST";
    request.target = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), request.target.size() + 1));
    while (!text.empty() && request.headers.size() < kHeaderCountMax) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        const size_t colon = line.find(':');
        if (colon == line.npos) break;
        request.headers.emplace_back(line.substr(0, colon), line.substr(colon + 1));
    }
    request.body = text;
    fuzz::keep(region_of(request).size());
    const auto read = read_signature(request);
    const auto* signature = std::get_if<Signature>(&read);
    if (signature == nullptr) return;
    if (!is_signed(request)) std::abort();
    fuzz::keep(check_time(*signature, kNowMs).index());
    // Nobody knows this secret.
    if (is_made_with(*signature, request, "es-8d0942285c84a2bfa4f2e14f38ad637d8df73fbf112747abf08a1f2131929844")) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 1) return 0;
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    switch (data[0] % 6) {
        case 0: try_names(text); break;
        case 1: {
            identity::Bytes32 key{};
            key[3] = std::byte{9};
            const auto opened = IteratorSigner(key).open(text, kNowMs);
            if (std::holds_alternative<Iterator>(opened)) std::abort();  // It would have to be signed.
            break;
        }
        case 2:
            if (const auto token = open_page_token(text); token && !open_page_token(token->text())) std::abort();
            break;
        case 3: try_signature(text); break;
        case 4: {
            const auto parsed = ResourcePolicy::parse(text);
            if (const auto* policy = std::get_if<ResourcePolicy>(&parsed))
                fuzz::keep(static_cast<uint64_t>(policy->judge("ek-0", "arn:aws:iam::000000000000:user/x", "kinesis:PutRecord", "arn:aws:kinesis:r:0:stream/s")));
            break;
        }
        default:
            fuzz::keep(parse_settings(text).shard_metrics.size() + parse_account(text).changed_ms);
            if (const auto consumer = parse_consumer("c", text)) fuzz::keep(consumer->tags.size());
            if (const auto bytes = decode_base64(text)) {
                std::string back;
                append_base64(back, *bytes);
                if (decode_base64(back) != bytes) std::abort();
            }
    }
    return 0;
}
