// Who signed a request, and what a policy says of him. The signatures were made by botocore with the secret "es-secret".
#include <algorithm>

#include <gtest/gtest.h>

#include "control/gateway/model/resource_policy.h"
#include "control/gateway/model/signature.h"

namespace eagre::gateway {
namespace {

constexpr const char* kSecret = "es-secret";
constexpr uint64_t kSignedMs = 1'767'323'045'000;  // 2026-01-02T03:04:05Z.

Request header_form() {
    Request request;
    request.method = "POST";
    request.target = "/";
    request.body = R"({"Limit":3})";
    request.headers = {{"host", "127.0.0.1:4567"},
                       {"content-type", "application/x-amz-json-1.1"},
                       {"x-amz-target", "Kinesis_20131202.ListStreams"},
                       {"x-odd", "  a   b  "},
                       {"x-amz-date", "20260102T030405Z"},
                       {"authorization", "AWS4-HMAC-SHA256 Credential=ek-0123456789abcdef/20260102/eu-west-1/kinesis/aws4_request, "
                                         "SignedHeaders=content-type;host;x-amz-date;x-amz-target;x-odd, "
                                         "Signature=79af0f12312eadc1ebf8649697691a1ce98ca743be8e5fca9a101a6247235377"}};
    return request;
}

Request query_form() {
    Request request;
    request.method = "POST";
    request.target = "/a%20b/?x=1&y=%2F%20z&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=ek-0123456789abcdef%2F20260102%2Feu-west-1%2Fkinesis%2F"
                     "aws4_request&X-Amz-Date=20260102T030405Z&X-Amz-Expires=60&X-Amz-SignedHeaders=content-type%3Bhost&"
                     "X-Amz-Signature=f8543af2f2107d4122ef0b79cad9a722de49c7735be787a5683bbf4746f1301b";
    request.headers = {{"host", "127.0.0.1:4567"}, {"content-type", "application/x-amz-json-1.1"}};
    return request;
}

std::string& header(Request& request, std::string_view name) {
    return std::find_if(request.headers.begin(), request.headers.end(), [name](const auto& each) { return each.first == name; })->second;
}

bool good(const Request& request) {
    const auto read = read_signature(request);
    const auto* signature = std::get_if<Signature>(&read);
    return signature != nullptr && is_made_with(*signature, request, kSecret);
}

std::string error_of(const Request& request) {
    const auto read = read_signature(request);
    const auto* error = std::get_if<ApiError>(&read);
    return error == nullptr ? "" : error->type;
}

void replace(std::string& text, std::string_view what, std::string_view with) { text.replace(text.find(what), what.size(), with); }

TEST(Signatures, OfBothForms) {
    for (const Request& request : {header_form(), query_form()}) {
        EXPECT_TRUE(good(request));
        const auto signature = std::get<Signature>(read_signature(request));
        EXPECT_EQ(signature.key_id, "ek-0123456789abcdef");
        EXPECT_EQ(signature.region, "eu-west-1");
        EXPECT_EQ(signature.time_ms, kSignedMs);
        EXPECT_FALSE(is_made_with(signature, request, "es-other"));
    }
    EXPECT_EQ(region_of(header_form()), "eu-west-1");
}

TEST(Signatures, CoverWhatTheySay) {
    const auto changed = [](auto change, Request request) {
        change(request);
        return good(request);
    };
    EXPECT_FALSE(changed([](Request& r) { r.body += " "; }, header_form()));
    EXPECT_FALSE(changed([](Request& r) { r.method = "GET"; }, header_form()));
    EXPECT_FALSE(changed([](Request& r) { r.target = "/?a=b"; }, header_form()));
    EXPECT_FALSE(changed([](Request& r) { header(r, "x-amz-target") = "Kinesis_20131202.DeleteStream"; }, header_form()));
    EXPECT_FALSE(changed([](Request& r) { header(r, "host") = "other"; }, header_form()));
    EXPECT_FALSE(changed([](Request& r) { replace(r.target, "x=1", "x=2"); }, query_form()));
    EXPECT_FALSE(changed([](Request& r) { replace(r.target, "Expires=60", "Expires=61"); }, query_form()));
    // Blanks within a header count once, around it not at all; what is not signed may change.
    EXPECT_TRUE(changed([](Request& r) { header(r, "x-odd") = "a b"; }, header_form()));
    EXPECT_TRUE(changed([](Request& r) { r.headers.emplace_back("user-agent", "x"); }, header_form()));
    // A hash of the body that the client says is checked too.
    EXPECT_FALSE(changed([](Request& r) { r.headers.emplace_back("x-amz-content-sha256", std::string(64, '0')); }, header_form()));
}

TEST(Signatures, SayWhatIsWrong) {
    const auto error = [](auto change, Request request) {
        change(request);
        return error_of(request);
    };
    EXPECT_EQ(error_of(Request{}), "MissingAuthenticationTokenException");
    EXPECT_FALSE(is_signed(Request{}));
    EXPECT_EQ(error([](Request& r) { replace(header(r, "authorization"), "Signature=", "Sig="); }, header_form()), "IncompleteSignatureException");
    EXPECT_EQ(error([](Request& r) { replace(header(r, "authorization"), "AWS4-HMAC-SHA256", "AWS3"); }, header_form()), "IncompleteSignatureException");
    EXPECT_EQ(error([](Request& r) { header(r, "x-amz-date") = "yesterday"; }, header_form()), "IncompleteSignatureException");
    EXPECT_EQ(error([](Request& r) { replace(header(r, "authorization"), "/kinesis/", "/s3/"); }, header_form()), "InvalidSignatureException");
    EXPECT_EQ(error([](Request& r) { header(r, "x-amz-date") = "20260103T030405Z"; }, header_form()), "InvalidSignatureException");
    EXPECT_EQ(error([](Request& r) { replace(header(r, "authorization"), ";host", ""); }, header_form()), "InvalidSignatureException");
    EXPECT_EQ(error([](Request& r) { replace(r.target, "X-Amz-Date=20260102T030405Z&", ""); }, query_form()), "IncompleteSignatureException");
    EXPECT_EQ(error([](Request& r) { replace(r.target, "Expires=60", "Expires=9999999"); }, query_form()), "IncompleteSignatureException");
    Request both = query_form();
    both.headers.emplace_back("authorization", "AWS4-HMAC-SHA256 x");
    EXPECT_EQ(error_of(both), "InvalidSignatureException");
}

TEST(Signatures, AreGoodForFiveMinutes) {
    for (const Request& request : {header_form(), query_form()}) {
        const auto signature = std::get<Signature>(read_signature(request));
        for (const uint64_t now : {kSignedMs - kSkewMs, kSignedMs, kSignedMs + kSkewMs}) EXPECT_EQ(check_time(signature, now).index(), 0U) << now;
        for (const uint64_t now : {kSignedMs - kSkewMs - 1000, kSignedMs + kSkewMs + 1000}) {
            const auto checked = check_time(signature, now);
            ASSERT_EQ(checked.index(), 1U) << now;
            EXPECT_EQ(std::get<ApiError>(checked).type, "InvalidSignatureException");
        }
    }
}

constexpr const char* kUser = "arn:aws:iam::000000000000:user/app";
constexpr const char* kStream = "arn:aws:kinesis:us-east-1:000000000000:stream/quotes";

ResourcePolicy policy(const std::string& statements) {
    auto parsed = ResourcePolicy::parse(R"({"Version":"2012-10-17","Statement":[)" + statements + "]}");
    EXPECT_TRUE(std::holds_alternative<ResourcePolicy>(parsed)) << statements;
    return std::get<ResourcePolicy>(parsed);
}

TEST(ResourcePolicies, AllowWhomTheyNameAndDenyFirst) {
    using Verdict = ResourcePolicy::Verdict;
    const auto judge = [](const ResourcePolicy& each, const char* action, const char* resource = kStream) {
        return each.judge("ek-1", kUser, action, resource);
    };
    for (const char* principal : {R"("*")", R"({"AWS":"*"})", R"({"AWS":"ek-1"})", R"({"AWS":["x","arn:aws:iam::000000000000:user/app"]})",
                                  R"({"AWS":"000000000000"})", R"({"AWS":"arn:aws:iam::000000000000:root"})"}) {
        const auto each = policy(std::string(R"({"Effect":"Allow","Principal":)") + principal + R"(,"Action":"kinesis:put*","Resource":")" + kStream + "\"}");
        EXPECT_EQ(judge(each, "kinesis:PutRecord"), Verdict::kAllow) << principal;
        EXPECT_EQ(judge(each, "kinesis:GetRecords"), Verdict::kNone) << principal;
        EXPECT_EQ(judge(each, "kinesis:PutRecord", "arn:aws:kinesis:us-east-1:000000000000:stream/other"), Verdict::kNone) << principal;
    }
    for (const char* principal : {"123456789012", "arn:aws:iam::123456789012:root", "ek-2", "arn:aws:iam::000000000000:user/else"}) {
        const auto each = policy(std::string(R"({"Effect":"Allow","Principal":{"AWS":")") + principal + R"("},"Action":"*","Resource":"*"})");
        EXPECT_EQ(judge(each, "kinesis:PutRecord"), Verdict::kNone) << principal;
    }
    // A region is what a caller says of himself.
    const auto denied = policy(std::string(R"({"Effect":"Deny","Principal":"*","Action":"*","Resource":")") + kStream + "\"}");
    EXPECT_EQ(judge(denied, "kinesis:PutRecord", "arn:aws:kinesis:eu-west-1:000000000000:stream/quotes"), Verdict::kDeny);
    const auto both = policy(R"({"Effect":"Allow","Principal":"*","Action":"kinesis:*","Resource":"*"},)"
                             R"({"Effect":"Deny","Principal":{"AWS":"ek-1"},"Action":["kinesis:DeleteStream"],"Resource":["*"]})");
    EXPECT_EQ(judge(both, "kinesis:DeleteStream"), Verdict::kDeny);
    EXPECT_EQ(judge(both, "kinesis:PutRecord"), Verdict::kAllow);
    EXPECT_EQ(both.judge("ek-2", "arn:aws:iam::000000000000:user/b", "kinesis:DeleteStream", kStream), Verdict::kAllow);
}

TEST(ResourcePolicies, AreTakenWholeOrNotAtAll) {
    for (const char* bad :
         {"", "[]", "{}", R"({"Statement":[]})", R"({"Statement":[{}]})", R"({"Other":1,"Statement":[]})",
          R"({"Statement":{"Effect":"Maybe","Principal":"*","Action":"*","Resource":"*"}})", R"({"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}})",
          R"({"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:Get","Resource":"*"}})", R"({"Statement":{"Effect":"Allow","Principal":"*","Action":"*"}})",
          R"({"Statement":{"Effect":"Allow","Principal":{"Service":"x"},"Action":"*","Resource":"*"}})",
          R"({"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{}}})",
          R"({"Statement":{"Effect":"Allow","Principal":"*","NotAction":"*","Resource":"*"}})"}) {
        const auto parsed = ResourcePolicy::parse(bad);
        ASSERT_TRUE(std::holds_alternative<ApiError>(parsed)) << bad;
        EXPECT_EQ(std::get<ApiError>(parsed).type, "InvalidArgumentException");
    }
    EXPECT_TRUE(std::holds_alternative<ApiError>(ResourcePolicy::parse(std::string(kPolicyBytesMax + 1, ' '))));
}

}  // namespace
}  // namespace eagre::gateway
