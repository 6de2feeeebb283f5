package slack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/internal/notify"
	"github.com/windsock-monitor/windsock/internal/outbound/credential"
)

// apiAnswer is what the Web API says with 200, good or bad.
type apiAnswer struct {
	OK      bool   `json:"ok"`
	Error   string `json:"error"`
	Needed  string `json:"needed"` // the scope that is missing
	Channel string `json:"channel"`
	TS      string `json:"ts"`
}

// apiError is an error by Slack's own word for it.
type apiError struct{ code, text string }

func (e *apiError) Error() string { return e.text }

func codeOf(err error) string {
	if e, ok := errors.AsType[*apiError](err); ok {
		return e.code
	}
	return ""
}

// call makes one request of a method of the Web API.
func (b *bot) call(ctx context.Context, method string, message message) (apiAnswer, error) {
	doing := "asking Slack for " + method
	token, err := credential.Token(ctx, b.params.Token)
	if err != nil {
		return apiAnswer{}, exporters.Hold(fmt.Errorf("%s: token: %w", doing, err))
	}
	body, err := json.Marshal(message)
	if err != nil {
		return apiAnswer{}, exporters.Poison(fmt.Errorf("%s: %w", doing, err))
	}
	header := jsonHeader()
	header.Set("Authorization", "Bearer "+token)
	raw, err := b.way.Post(ctx, notify.Request{
		Doing: doing, URL: b.params.APIURL + "/" + method, Header: header, Body: body, Secrets: []string{token}, Renew: b.params.Token,
	})
	if err != nil {
		return apiAnswer{}, err
	}
	var answer apiAnswer
	if err := json.Unmarshal(raw.Body, &answer); err != nil || (!answer.OK && answer.Error == "") {
		said := credential.NewScrubber([]string{token}, nil).Line(string(raw.Body), mostSaid)
		return apiAnswer{}, exporters.Retry(fmt.Errorf("%s: status %d without Slack's answer: %s", doing, raw.Status, said), 0)
	}
	if answer.OK {
		return answer, nil
	}
	return apiAnswer{}, b.refused(ctx, doing, token, &answer, raw.Header)
}

const mostSaid = 160 // of an answer in an error

// refused is the error for an answer that is not ok. (docs.slack.dev/reference/methods, read November 2026)
func (b *bot) refused(ctx context.Context, doing, token string, answer *apiAnswer, header http.Header) error {
	said := credential.NewScrubber([]string{token}, nil).Line(answer.Error+" "+answer.Needed, mostSaid)
	err := &apiError{answer.Error, doing + ": " + said}
	switch {
	case slices.Contains(transient(), answer.Error):
		return exporters.Retry(err, notify.RetryAfter(header, time.Now()))
	case slices.Contains(malformed(), answer.Error):
		return exporters.Poison(err)
	case slices.Contains(refusedTokens(), answer.Error):
		changed, what := credential.Renewed(ctx, b.params.Token, token)
		err.text += " (" + what + ")"
		if changed {
			return exporters.Retry(err, 0)
		}
	}
	return exporters.Hold(err) // also for a word that nobody knows yet: an operator reads it, and nothing is lost
}

func transient() []string {
	return []string{
		"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org",
		"message_limit_exceeded", "accesslimited",
	}
}

// malformed are those of a message that will never be taken.
func malformed() []string {
	return []string{
		"invalid_blocks", "invalid_blocks_format", "msg_too_long", "msg_blocks_too_long", "no_text", "invalid_arguments", "invalid_arg_name",
		"invalid_array_arg", "invalid_charset", "invalid_form_data", "invalid_post_type", "invalid_json", "json_not_object",
		"invalid_attachments", "too_many_attachments", "attachment_payload_limit_exceeded", "markdown_text_conflict",
	}
}

func refusedTokens() []string {
	return []string{"invalid_auth", "not_authed", "token_expired", "token_revoked", "account_inactive"}
}

// unchangeable reports whether a message stays as it is, which is no reason to keep quiet about what happened.
func unchangeable(code string) bool {
	return slices.Contains([]string{
		"cant_update_message", "edit_window_closed", "update_failed", "block_mismatch", "external_channel_migrating", "streaming_state_conflict",
	}, code)
}

// refusedWebhook is the error for an answer of a webhook. What only an operator can change is held, whatever the status: a
// channel that is archived (410), a person who is gone (400).
// (docs.slack.dev/messaging/sending-messages-using-incoming-webhooks, read November 2026)
func refusedWebhook(answer *notify.Answer, err error) error {
	if !exporters.IsPoison(err) {
		return err
	}
	said := string(bytes.TrimSpace(answer.Body))
	if answer.Status == http.StatusGone || slices.Contains([]string{
		"user_not_found", "invalid_token", "no_service", "no_service_id", "no_team", "no_active_hooks", "channel_not_found",
		"channel_is_archived", "action_prohibited", "posting_to_general_channel_denied",
	}, said) {
		return exporters.Hold(err)
	}
	return err
}

// taken checks that it was Slack who said 200: a page of a proxy in between is no sign that people were told. The servers
// that speak this protocol too say ok, JSON, or nothing.
func taken(doing string, body []byte, target string) error {
	body = bytes.TrimSpace(body)
	said := credential.NewScrubber([]string{target}, nil).Line(string(body), mostSaid)
	var answer apiAnswer
	switch {
	case len(body) == 0, bytes.EqualFold(body, []byte("ok")):
		return nil
	case json.Unmarshal(body, &answer) == nil && answer.Error != "":
		return exporters.Hold(fmt.Errorf("%s: it is no webhook: %s", doing, said))
	case body[0] == '{':
		return nil
	}
	return exporters.Retry(fmt.Errorf("%s: status 200 without Slack's answer, want ok: %s", doing, said), 0)
}
