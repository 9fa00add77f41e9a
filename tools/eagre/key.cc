// `eagre key create|list|rotate|revoke`, through eagre-control.
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tools/eagre/actions.h"
#include "tools/eagre/commands.h"
#include "tools/eagre/position.h"
#include "tools/eagre/target.h"
#include "tools/eagre/text.h"

namespace eagre::cli {
namespace {

using Json = nlohmann::ordered_json;

struct KeyOptions {
    Target target;
    std::string name;
    std::vector<std::string> allow;
    std::string expires;
    bool json = false;
    bool all = false;
};

std::string state_text(const client::KeyDescription& key) {
    if (key.revoked_ns != 0) return "revoked";
    return key.expires_ns != 0 && key.expires_ns <= wall_now_ns() ? "expired" : "in use";
}

std::string time_or(uint64_t ns, const char* none) {
    return ns == 0 ? none : rfc3339(ns);
}

Json to_json(const client::KeyDescription& key) {
    Json json = {{"id", key.id},
                 {"name", key.name},
                 {"allow", key.allow},
                 {"state", state_text(key)},
                 {"created", rfc3339(key.created_ns)},
                 {"expires", key.expires_ns == 0 ? Json() : Json(rfc3339(key.expires_ns))},
                 {"revoked", key.revoked_ns == 0 ? Json() : Json(rfc3339(key.revoked_ns))},
                 {"generation", key.generation}};
    if (!key.secret.empty()) json["secret"] = key.secret;
    return json;
}

/// The secret goes to standard output alone, so that `> FILE` keeps it and the screen does not.
void print_secret(const client::KeyDescription& key, const char* what) {
    fmt::print(stderr,
               "{} {}: key id {}, allowed: {}\nThe secret is shown this once; keep it in a file "
               "that only you read:\n",
               what, key.name, key.id, key.allow.empty() ? "nothing" : key.allow);
    fmt::print("{}\n", key.secret);
}

void create(const KeyOptions& options) {
    std::string allow;
    for (const std::string& rule : options.allow) allow += (allow.empty() ? "" : " ") + rule;
    const uint64_t expires_ns =
        options.expires.empty() ? 0 : wall_now_ns() + parse_duration_ms(options.expires) * 1'000'000;
    const auto key = options.target.connect_control()->create_key(options.name, allow, expires_ns);
    if (!key) fail("key " + options.name, key.error());
    if (options.json)
        fmt::print("{}\n", to_json(*key).dump());
    else
        print_secret(*key, "created");
}

void rotate(const KeyOptions& options) {
    const auto key = options.target.connect_control()->rotate_key(options.name);
    if (!key) fail("key " + options.name, key.error());
    if (options.json)
        fmt::print("{}\n", to_json(*key).dump());
    else
        print_secret(*key, "rotated");
}

void revoke(const KeyOptions& options) {
    const auto key = options.target.connect_control()->revoke_key(options.name);
    if (!key) fail("key " + options.name, key.error());
    if (options.json)
        fmt::print("{}\n", to_json(*key).dump());
    else
        fmt::print("revoked {} ({}): its connections are closed\n", key->name, key->id);
}

void list(const KeyOptions& options) {
    const auto keys = options.target.connect_control()->list_keys();
    if (!keys) fail("list", keys.error());
    Json all = Json::array();
    Table table({"key", "id", "state", "allowed", "created", "expires"});
    for (const client::KeyDescription& key : *keys) {
        if (key.revoked_ns != 0 && !options.all) continue;
        all.push_back(to_json(key));
        table.add({key.name, key.id, state_text(key), key.allow.empty() ? "nothing" : key.allow,
                   rfc3339(key.created_ns), time_or(key.expires_ns, "never")});
    }
    if (options.json)
        fmt::print("{}\n", Json{{"keys", all}}.dump());
    else
        fmt::print("{}", table.empty() ? "no keys: make one with 'eagre key create NAME --allow "
                                         "all:*'\n"
                                       : table.text());
}

}  // namespace

void add_key(CLI::App& app, int& status) {
    CLI::App* command =
        app.add_subcommand("key", "Create, list, rotate, revoke keys: who may do what");
    command->require_subcommand(1);
    command->footer(
        "Examples:\n"
        "  eagre key create feed --allow put:ticks-* > feed.secret\n"
        "  eagre key create desk --allow get:* --expires 30d\n"
        "  eagre key list\n"
        "  eagre key rotate feed > feed.secret\n"
        "  eagre key revoke desk");
    auto options = std::make_shared<KeyOptions>();
    const ActionAdder<KeyOptions> add(*command, options, status);
    CLI::App* sub = add("create", "Make a key; prints its secret, this once", create);
    sub->add_option("name", options->name, "1 to 64 of a-z A-Z 0-9 _ . -")->required();
    sub->add_option("--allow", options->allow,
                    "ACTION:PATTERN, repeatable: put, get, manage or all; * and ? in the pattern")
        ->allow_extra_args(false);
    sub->add_option("--expires", options->expires, "How long it is good for: 12h, 30d [for ever]");
    sub->footer(
        "Without --allow a key may do nothing. Examples:\n"
        "  eagre key create feed --allow put:ticks-* --allow get:ticks-* > feed.secret\n"
        "  eagre put ticks-nyse --key-id ek-... --secret-file feed.secret quotes.csv");
    add("list", "List keys, without their secrets", list)
        ->add_flag("--all", options->all, "The revoked ones too");
    sub = add("rotate", "Give a key a new secret; the old one is worth nothing at once", rotate);
    sub->add_option("name", options->name, "The key's name or id")->required();
    sub = add("revoke", "End a key, and the connections that it opened", revoke);
    sub->add_option("name", options->name, "The key's name or id")->required();
}

}  // namespace eagre::cli
