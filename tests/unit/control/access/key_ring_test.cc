// What administrators may do to keys, and what the dataplane is told of it.
#include "control/access/key_ring.h"

#include <gtest/gtest.h>

namespace eagre::access {
namespace {

using catalog::KeyRow;
using identity::Bytes32;

class KeyRing : public testing::Test {
  protected:
    static Randomness draw(uint64_t id) {
        Randomness random;
        random.id = id;
        random.secret.fill(static_cast<std::byte>(id));
        random.nonce.fill(static_cast<std::byte>(id));
        return random;
    }
    /// Applies a plan to the rows as the catalogue would.
    void apply(const PlannedKey& plan) {
        for (const auto& gone : plan.change.delete_keys)
            std::erase_if(rows, [&](const KeyRow& row) { return row.id == gone.id; });
        for (const KeyRow& put : plan.change.put_keys) {
            std::erase_if(rows, [&](const KeyRow& row) { return row.id == put.id; });
            rows.push_back(put);
        }
        meta = *plan.change.put_meta;
    }
    Result<PlannedKey> create(uint64_t id, const CreateRequest& request) {
        auto plan = plan_create(rows, meta, request, master, draw(id), 1000);
        if (plan) apply(*plan);
        return plan;
    }
    identity::KeySet set() {
        unreadable.clear();
        return key_set_of(rows, meta.key_set_number, master, unreadable);
    }

    std::vector<KeyRow> rows;
    catalog::MetaRow meta;
    Bytes32 master{};
    std::vector<std::string> unreadable;
};

TEST_F(KeyRing, CreatesAKeyThatTheDataplaneCanCheck) {
    const auto plan = create(7, {"feed", "put:ticks-*", 5000});
    ASSERT_TRUE(plan.has_value());
    EXPECT_EQ(plan->id, "ek-0000000000000007");
    const auto secret = identity::parse_secret(plan->secret);
    ASSERT_TRUE(secret.has_value());
    EXPECT_EQ(meta.key_set_number, 1U);
    const identity::KeySet keys = set();
    ASSERT_EQ(keys.keys.size(), 1U);
    const identity::Key& key = **keys.find(plan->id);
    EXPECT_EQ(key.verifier, identity::verifier_of(*secret));
    EXPECT_EQ(key.expires_ns, 5000U);
    EXPECT_EQ(key.policy.text(), "put:ticks-*");
    const auto& sealed = rows[0].sealed_secret;
    EXPECT_EQ(std::search(sealed.begin(), sealed.end(), secret->begin(), secret->end()), sealed.end())
        << "the secret lies open in the catalogue";
}

TEST_F(KeyRing, RefusesWhatIsWrong) {
    ASSERT_TRUE(create(1, {"feed", "", 0}).has_value());
    EXPECT_EQ(create(2, {"feed", "", 0}).error().code, Errc::kKeyExists);
    EXPECT_EQ(create(2, {"a b", "", 0}).error().code, Errc::kBadArgument);
    EXPECT_EQ(create(2, {"late", "", 1000}).error().code, Errc::kBadArgument);
    EXPECT_EQ(create(2, {"other", "get:* fly:*", 0}).error().code, Errc::kBadPolicy);
    EXPECT_EQ(plan_revoke(rows, meta, "nobody", 1).error().code, Errc::kUnknownKey);
    EXPECT_EQ(plan_rotate(rows, meta, "nobody", master, draw(3)).error().code, Errc::kUnknownKey);
    EXPECT_EQ(rows.size(), 1U);
}

TEST_F(KeyRing, RotatesToAnotherSecretAndGeneration) {
    const auto first = create(1, {"feed", "get:*", 0});
    const auto second = plan_rotate(rows, meta, "feed", master, draw(9));
    ASSERT_TRUE(second.has_value());
    apply(*second);
    EXPECT_NE(first->secret, second->secret);
    EXPECT_EQ(first->id, second->id);
    const identity::KeySet keys = set();
    const identity::Key& key = **keys.find(first->id);
    EXPECT_EQ(key.generation, 2U);
    EXPECT_EQ(key.verifier, identity::verifier_of(*identity::parse_secret(second->secret)));
    EXPECT_EQ(keys.number, 2U);
}

TEST_F(KeyRing, RevokesByNameOrId) {
    const auto first = create(1, {"feed", "", 0});
    const auto revoked = plan_revoke(rows, meta, first->id, 2000);
    ASSERT_TRUE(revoked.has_value());
    apply(*revoked);
    EXPECT_TRUE(set().keys.empty());
    EXPECT_EQ(rows[0].revoked_ns, 2000U);
    EXPECT_TRUE(rows[0].sealed_secret.empty());
    EXPECT_EQ(plan_revoke(rows, meta, "feed", 1).error().code, Errc::kUnknownKey);
    EXPECT_TRUE(create(2, {"feed", "", 0}).has_value()) << "the name is free again";
}

TEST_F(KeyRing, LeavesOutWhatAnotherKeyFileSealed) {
    ASSERT_TRUE(create(1, {"old", "", 0}).has_value());
    master[0] = std::byte{1};
    ASSERT_TRUE(create(2, {"new", "", 0}).has_value());
    EXPECT_EQ(set().keys.size(), 1U);
    EXPECT_EQ(unreadable, std::vector<std::string>{"old"});
}

TEST_F(KeyRing, MakesRoomByForgettingTheOldestRevoked) {
    for (uint64_t i = 1; i <= identity::kKeyCountMax; ++i) {
        KeyRow row;
        row.id = identity::key_id_text(i);
        row.name = "key-" + std::to_string(i);
        rows.push_back(row);
    }
    EXPECT_EQ(create(5000, {"more", "", 0}).error().code, Errc::kLimitExceeded);
    rows[5].revoked_ns = 20;
    rows[9].revoked_ns = 10;
    const std::string oldest = rows[9].id;
    const auto plan = create(5000, {"more", "", 0});
    ASSERT_TRUE(plan.has_value());
    ASSERT_EQ(plan->change.delete_keys.size(), 1U);
    EXPECT_EQ(plan->change.delete_keys[0].id, oldest);
    EXPECT_EQ(rows.size(), size_t{identity::kKeyCountMax});
}

}  // namespace
}  // namespace eagre::access
