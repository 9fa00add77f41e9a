// Notes: what programs keep beside a stream, or beside the box. The catalogue alone has them; nothing here waits for the dataplane.
#include <algorithm>

#include "control/controller.h"
#include "wire/base/limits.h"

namespace eagre::control {
namespace {

using wire::AdminOp;

}  // namespace

bool Controller::advance_note(Pending& pending) {
    // Before the first reconciliation streams may be missing that the journals know.
    if (!ready() && !was_ready_ && !overdue(pending)) return false;
    const admin::Request& request = pending.request;
    StreamId id;
    if (!request.name.empty()) {
        const streams::Stream* stream = table_.find(request.name);
        if (stream == nullptr || stream->row.state == catalog::StreamState::kDeleting || stream->row.state == catalog::StreamState::kCreating)
            return finish(pending, error_of(Errc::kUnknownStream));
        id = stream->row.id;
    }
    if (request.op != AdminOp::ListNotes) {
        if (const Status put = put_note(request, id); !put) return finish(pending, put.error());
        if (request.op == AdminOp::DeleteNote) return finish(pending, Error{});
    }
    return finish_notes(pending);
}

Status Controller::put_note(const admin::Request& request, StreamId stream) {
    catalog::Change change;
    if (const Status added = add_note(request, stream, change); !added) return added;
    const auto applied = catalog_.apply(change);
    if (!applied) return applied.error();
    if (!*applied) return Errc::kBusy;
    return {};
}

Status Controller::add_note(const admin::Request& request, StreamId stream, catalog::Change& change) {
    if (request.note_name.empty() || request.note_name.size() > kNoteNameBytesMax || request.note_text.size() > kNoteTextBytesMax)
        return Errc::kBadArgument;
    const auto rows = catalog_.notes();
    if (!rows) return rows.error();
    size_t bytes = request.note_name.size() + request.note_text.size() + kNoteOverheadBytes;
    size_t count = 1;
    uint64_t revision = 0;
    for (const catalog::NoteRow& row : *rows) {
        if (row.stream == stream && row.name == request.note_name) {
            revision = row.revision;
            continue;
        }
        bytes += row.name.size() + row.text.size() + kNoteOverheadBytes;
        ++count;
    }
    if (revision != request.note_revision) return error_of(Errc::kNoteChanged, revision);
    if (request.op == AdminOp::DeleteNote) {
        if (revision != 0) change.delete_notes.push_back({stream, request.note_name, revision});
        return {};
    }
    if (count > kBoxNoteCountMax) return error_of(Errc::kLimitExceeded, kBoxNoteCountMax);
    if (bytes > kBoxNoteBytesMax) return error_of(Errc::kLimitExceeded, kBoxNoteBytesMax);
    change.put_notes.push_back({stream, request.note_name, request.note_text, revision});
    return {};
}

bool Controller::finish_notes(const Pending& pending) {
    const admin::Request& request = pending.request;
    auto rows = catalog_.notes();
    if (!rows) return finish(pending, rows.error());
    const streams::Stream* only = request.name.empty() ? nullptr : table_.find(request.name);
    const bool one = request.op == AdminOp::PutNote;
    admin::Answer answer;
    for (catalog::NoteRow& row : *rows) {
        if (one ? row.name != request.note_name : !row.name.starts_with(request.note_name)) continue;
        if (only != nullptr ? row.stream != only->row.id : one && row.stream.value != 0) continue;
        std::string stream;
        if (row.stream.value != 0) {
            const streams::Stream* of = table_.find(row.stream);
            if (of == nullptr || of->row.state == catalog::StreamState::kDeleting) continue;
            stream = of->row.name;
        }
        answer.notes.push_back({std::move(stream), std::move(row)});
    }
    admin_.answer(pending.request.caller, answer);
    return true;
}

}  // namespace eagre::control
