package mistral

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/outbound/credential"
)

// errStalled is why a stream is given up that says nothing any more.
var errStalled = errors.New("the stream stalled")

// chatPayload holds only fields that every model accepts; others are a 422.
type chatPayload struct {
	Model          string        `json:"model"`
	Messages       []chatMessage `json:"messages"`
	MaxTokens      int           `json:"max_tokens,omitempty"`
	Stream         bool          `json:"stream,omitempty"`
	Temperature    *float64      `json:"temperature,omitempty"`
	TopP           *float64      `json:"top_p,omitempty"`
	Seed           *int64        `json:"random_seed,omitempty"`
	ResponseFormat *chatFormat   `json:"response_format,omitempty"`
}

type chatMessage struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

type chatFormat struct {
	Type string `json:"type"`
}

func newChatPayload(req ChatRequest) chatPayload {
	p := chatPayload{
		Model: req.Model, MaxTokens: req.MaxTokens, Stream: req.Stream, Temperature: req.Temperature, Seed: req.Seed,
		Messages: []chatMessage{},
	}
	for _, m := range req.Messages {
		p.Messages = append(p.Messages, chatMessage(m))
	}
	if req.Temperature != nil && *req.Temperature == 0 {
		one := 1.0 // some models answer 400 to greedy sampling with another top_p
		p.TopP = &one
	}
	if req.JSON {
		p.ResponseFormat = &chatFormat{Type: "json_object"}
	}
	return p
}

// Chat asks for one answer. The reply holds what came, also where the call failed.
func (c *Client) Chat(ctx context.Context, req ChatRequest) (ChatReply, Call) {
	r := request{method: http.MethodPost, path: "/chat/completions", payload: newChatPayload(req), stream: req.Stream}
	for _, m := range req.Messages {
		r.private = append(r.private, m.Content)
	}
	x := c.begin(ctx, r)
	if x.judged {
		return ChatReply{}, x.done("")
	}
	a := &answer{}
	if req.Stream {
		x.stream(a)
	} else {
		x.single(x.body, a)
	}
	reply := a.reply(x.scrub)
	reply.FirstToken = min(reply.FirstToken, x.body.Timings().Total) // the last chunks may be read after they came
	if reply.FirstToken > 0 {
		x.call.Phases = append(x.call.Phases, checks.Phase{Name: checks.PhaseFirstToken, Took: reply.FirstToken})
	}
	return reply, x.done(fmt.Sprintf("%d, %s", x.call.Status, a.describe()))
}

// single reads an answer that is one JSON object.
func (x *exchange) single(body io.Reader, a *answer) {
	var c completion
	if !x.decoded(body, &c) {
		return
	}
	a.take(&c)
	x.content(a, "body")
}

// content judges an answer that came whole.
func (x *exchange) content(a *answer, step string) {
	switch {
	case a.finish == "error":
		x.judge(checks.CauseServer, "finish_error", "the answer ended in finish_reason error")
	case !a.produced():
		x.judge(checks.CauseEmptyContent, "empty", fmt.Sprintf("%d, but there is nothing in the answer", x.call.Status))
	}
	x.step(step, !x.judged, a.describe())
}

// stream reads server-sent events. What comes instead is recognised by its first character, not by its content type.
func (x *exchange) stream(a *answer) {
	timer := time.AfterFunc(x.client.o.StallAfter, func() { x.cancel(errStalled) })
	defer timer.Stop()
	body := bufio.NewReader(x.body)
	switch peek(body) {
	case '{', '<':
		timer.Stop()
		x.single(body, a)
		return
	}
	x.step("status", true, fmt.Sprintf("%d %s", x.call.Status, http.StatusText(x.call.Status)))
	a.start = x.body.Timings().Start
	err := x.events(newEventReader(body), a, timer)
	x.ended(a, err)
}

// peek returns the first character that is not white space without taking it, 0 where nothing comes.
func peek(r *bufio.Reader) byte {
	for {
		b, err := r.Peek(1)
		if err != nil {
			return 0
		}
		if !strings.ContainsRune(" \t\r\n", rune(b[0])) {
			return b[0]
		}
		_, _ = r.Discard(1)
	}
}

// events takes events until the end mark (nil), an error object (judged) or the reader's error.
func (x *exchange) events(r *eventReader, a *answer, timer *time.Timer) error {
	for {
		data, err := r.next()
		if err != nil {
			return err
		}
		timer.Reset(x.client.o.StallAfter)
		a.last = time.Now()
		if strings.TrimSpace(string(data)) == "[DONE]" {
			a.done = true
			return nil
		}
		var c completion
		switch {
		case !utf8.Valid(data), decode(data, &c) != nil:
			a.bad++ // goes on: an error object may follow, which says more
		case c.Object == "error" || c.Error != nil:
			x.verdict(classifyFrame(x.header, data), x.call.Status)
			return nil
		default:
			a.take(&c)
		}
	}
}

// ended judges a stream by how it ended. An answer whose finish_reason came is whole, also where the connection ends
// without [DONE].
func (x *exchange) ended(a *answer, err error) {
	if x.judged {
		return
	}
	closed, dropped := ending(err)
	switch {
	case errors.Is(context.Cause(x.ctx), errStalled):
		x.judge(checks.CauseStreamStalled, "stalled", fmt.Sprintf("the stream said nothing for %s, after %s", x.client.o.StallAfter, a.describe()))
		x.step("stream", false, "stalled after "+a.describe())
	case errors.Is(err, bufio.ErrTooLong):
		x.judge(checks.CauseResponseTooLarge, "line", "a line of the stream is larger than its bound")
		x.step("stream", false, "a line beyond its bound, after "+a.describe())
	case err != nil && !closed && !dropped, dropped && a.finish == "":
		x.lost(err)
		x.step("stream", false, "lost after "+a.describe())
	case closed && a.last.IsZero() && !strings.HasPrefix(x.header.Get("Content-Type"), "text/event-stream"):
		x.judge(checks.CauseMalformed, "not_sse", fmt.Sprintf("%d, but the body is neither a stream nor JSON", x.call.Status))
		x.step("stream", false, "not a single event")
	case closed && a.finish == "":
		x.judge(checks.CauseStreamTruncated, "no_end", "the stream ended without its end mark, after "+a.describe())
		x.step("stream", false, "neither finish_reason nor [DONE]: "+a.describe())
	case a.bad > 0:
		x.judge(checks.CauseMalformed, "frame", "a frame of the stream is not JSON")
		x.step("stream", false, fmt.Sprintf("%d frames are not JSON: %s", a.bad, a.describe()))
	default:
		x.content(a, "stream")
	}
}

// ending tells a stream that was closed, in order or in the middle of a chunk, from a connection that was dropped.
func ending(err error) (closed, dropped bool) {
	failure, ok := errors.AsType[*outbound.Failure](err)
	switch {
	case !ok:
		return errors.Is(err, io.EOF), false
	case failure.Reason == "truncated", failure.Cause == checks.CauseConnect && failure.Reason == "closed":
		return true, false
	}
	return false, failure.Cause == checks.CauseConnect
}

// answer is what came so far.
type answer struct {
	start    time.Time // of the request, where the answer is a stream
	last     time.Time // the last event
	id       string
	model    string
	finish   string
	text     strings.Builder
	thinking bool
	thought  bool
	tools    int
	usage    *usage

	done   bool // [DONE] came
	bad    int  // frames that are not JSON
	deltas int
	first  time.Time // the first and the latest delta that was not empty
	latest time.Time
	maxGap time.Duration
}

// take adds an answer or a chunk. Only the first choice counts: no other was asked for.
func (a *answer) take(c *completion) {
	first(&a.id, string(c.ID))
	first(&a.model, string(c.Model))
	if c.Usage != nil {
		a.usage = c.Usage
	}
	for i := range c.Choices {
		ch := &c.Choices[i]
		if ch.Index != 0 {
			continue
		}
		if ch.FinishReason != "" {
			a.finish = string(ch.FinishReason)
		}
		a.add(&ch.Message)
		a.add(&ch.Delta)
	}
}

func (a *answer) add(m *message) {
	a.text.WriteString(m.Content.text)
	a.tools += len(m.ToolCalls)
	a.thinking = a.thinking || m.Content.thinking || m.Reasoning != ""
	thought := m.Content.thought || m.Reasoning != ""
	a.thought = a.thought || thought
	if a.start.IsZero() || (m.Content.text == "" && len(m.ToolCalls) == 0 && !thought) {
		return
	}
	a.deltas++
	if a.deltas == 1 {
		a.first = a.last
	} else {
		a.maxGap = max(a.maxGap, a.last.Sub(a.latest))
	}
	a.latest = a.last
}

// produced reports whether the answer is one. An answer that the token limit cut off before its text began is: a model
// that reasons may spend a ping's few tokens on thinking.
func (a *answer) produced() bool {
	if a.text.Len() > 0 || a.tools > 0 {
		return true
	}
	cut := a.finish == "length" || a.finish == "model_length"
	return cut && (a.thought || a.tokens() > 0)
}

func (a *answer) tokens() int64 {
	if a.usage == nil {
		return 0
	}
	return int64(a.usage.Completion)
}

// describe says what came, without a word of it.
func (a *answer) describe() string {
	var said []string
	if !a.start.IsZero() {
		said = append(said, fmt.Sprintf("%d chunks", a.deltas))
	}
	if a.deltas > 0 {
		said = append(said, "the first after "+a.first.Sub(a.start).Round(time.Millisecond).String())
	}
	if a.usage != nil {
		said = append(said, fmt.Sprintf("%d tokens", a.tokens()))
	}
	switch {
	case a.text.Len() == 0 && a.tools == 0 && a.thinking:
		said = append(said, "only thinking, no text")
	case a.text.Len() == 0 && a.tools == 0:
		said = append(said, "no text")
	}
	if a.finish != "" {
		said = append(said, "finish_reason "+outbound.Sanitize(a.finish, 32))
	} else {
		said = append(said, "no finish_reason")
	}
	if !a.start.IsZero() && !a.done {
		said = append(said, "no [DONE]")
	}
	return strings.Join(said, ", ")
}

func (a *answer) reply(s credential.Scrubber) ChatReply {
	r := ChatReply{
		ID: s.Line(a.id, maxID), Model: s.Line(a.model, maxID), FinishReason: s.Line(a.finish, 32),
		Content: s.Exact(a.text.String()), Thinking: a.thinking, ToolCalls: a.tools,
		Usage: a.usage.public(s), Chunks: a.deltas, MaxGap: a.maxGap,
	}
	if a.deltas > 0 {
		r.FirstToken = max(a.first.Sub(a.start), 1)
	}
	if a.deltas > 1 {
		r.MeanGap = a.latest.Sub(a.first) / time.Duration(a.deltas-1)
	}
	return r
}
