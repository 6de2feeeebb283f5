package preflight

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/app"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/scan"
	"github.com/windsock-monitor/windsock/internal/secret"
)

// lookEvery is how often a log is read while it may still be written.
const lookEvery = 200 * time.Millisecond

// canaries are what is sent and must not be logged.
type canaries struct {
	phrase, key string
	phrases     *secret.Scrubber // each knows every form that encodings give the one
	keys        *secret.Scrubber
}

func (r *run) canaries() canaries {
	c := canaries{phrase: "canary " + strings.ToLower(rand.Text()[:20]), key: "windsock-canary-" + rand.Text(), phrases: secret.NewScrubber(), keys: secret.NewScrubber()}
	c.phrases.Add(c.phrase)
	c.keys.Add(c.key)
	r.o.Scrubber.Add(c.phrase)
	r.o.Scrubber.Add(c.key)
	return c
}

// sentry is what a log held before and holds now.
type sentry struct {
	lines  int    // that were visited
	last   string // of them
	size   int64  // of a file
	phrase bool   // a canary was found
	key    bool
}

// logHygiene sends canaries to the application, and looks for them in its log.
func (r *run) logHygiene(ctx context.Context, check *config.Check, params app.Params) finding {
	source, problem := r.logSource()
	if problem != nil {
		return *problem
	}
	c := r.canaries()
	before, err := look(ctx, source, r.began, c)
	if err != nil {
		return blocked("mend preflight.log, or run this as a user who may read it", "%v", err)
	}
	began := time.Now().Add(-time.Second) // a log writes whole seconds
	sent, accepted := r.sendCanaries(ctx, check, params, c)
	now, err := r.await(ctx, source, began, c)
	where := source.String()
	switch {
	case now.key:
		return fail("keep headers, and what they hold, out of the log", "the canary key stands in the log of %s", where).with(sent)
	case now.phrase:
		return fail("keep what users write out of the log", "the canary phrase stands in the log of %s", where).with(sent)
	case err != nil: // what was found before it counts
		return blocked("mend preflight.log, or run this as a user who may read it", "%v", err)
	case !accepted:
		return blocked("look at the check of the kind app: windsock check "+check.Name, "the application did not take the canaries: %s", sent)
	case now.lines == 0 || now.last == before.last && now.lines == before.lines && now.size == before.size:
		return blocked("give the log that the application writes a line to for each request, or wait longer: preflight.log.settle",
			"nothing was written to the log of %s since the canaries were sent: nothing shows that it is the application's", where).with(sent)
	}
	return pass("neither canary stands in the log of %s, of which %d lines were read", where, now.lines).with(sent)
}

func (r *run) logSource() (scan.Source, *finding) {
	l := &r.cfg.Preflight.Log
	s := scan.Source{File: l.File, Unit: l.Unit}
	switch {
	case l.Command != nil:
		folder := r.target
		if folder == "" {
			folder = "/"
		}
		path, err := r.program(folder, l.Command[0])
		if err != nil {
			f := blocked("install it, or give its path in preflight.log.command", "%q cannot be run: %v", l.Command[0], err)
			return s, &f
		}
		s.Command = append([]string{path}, l.Command[1:]...)
		s.Env = r.environment([]string{"KUBECONFIG"})
	case l.File == "" && l.Unit == "":
		f := blocked("add preflight.log: {unit: …}, {file: …} or {command: […]}", "nobody says where the application's log is")
		return s, &f
	}
	return s, nil
}

// look reads a log once.
func look(ctx context.Context, source scan.Source, since time.Time, c canaries) (sentry, error) {
	s := sentry{}
	if source.File != "" {
		if info, err := os.Stat(source.File); err == nil {
			s.size = info.Size()
		}
	}
	err := scan.Log(ctx, source, since, func(line []byte) error {
		text := string(line)
		s.lines++
		s.last = text
		s.phrase = s.phrase || c.phrases.String(text) != text
		s.key = s.key || c.keys.String(text) != text
		return nil
	})
	return s, err
}

// await reads the log until a canary is found, or the time to settle is over.
func (r *run) await(ctx context.Context, source scan.Source, since time.Time, c canaries) (sentry, error) {
	settled := time.Now().Add(r.cfg.Preflight.Log.Settle)
	for {
		s, err := look(ctx, source, since, c)
		if err != nil || s.key || s.phrase || !time.Now().Before(settled) {
			return s, err
		}
		wait := time.NewTimer(min(lookEvery, time.Until(settled)))
		select {
		case <-ctx.Done():
			wait.Stop()
			return s, ctx.Err()
		case <-wait.C:
		}
	}
}

// sendCanaries sends them by the chat route where that may be asked, and else by the health route. accepted is whether the
// application took them.
func (r *run) sendCanaries(ctx context.Context, check *config.Check, params app.Params, c canaries) (sent string, accepted bool) {
	chat := params.Chat
	switch {
	case chat == nil:
		return r.byHealth(ctx, params, c, "the check has no chat route")
	case chat.MaxCostUSD > 0 && r.o.Free:
		return r.byHealth(ctx, params, c, "the chat route costs money")
	case chat.MaxCostUSD > 0 && r.o.Running != nil:
		return r.byHealth(ctx, params, c, "the chat route costs money, and the running agent holds the budget")
	case chat.MaxCostUSD > 0:
		return r.byPaidChat(ctx, check, params, c)
	}
	result, err := r.byChat(ctx, params, c)
	if err != nil {
		return "the chat route could not be asked: " + err.Error(), false
	}
	return chatSaid(&result)
}

// chatSaid is what came of the question, whatever the health route said before it.
func chatSaid(result *checks.Result) (string, bool) {
	for _, step := range result.Evidence {
		if step.Name == "chat.status" && step.OK {
			return "both canaries were sent to the chat route, which answered " + step.Detail, true
		}
	}
	return "both canaries were to be sent to the chat route: " + result.Summary, false
}

// withCanaries puts the phrase into the question and the key into a header: into the usual ones, where the check needs none of
// its own there.
func withCanaries(params app.Params, c canaries) app.Params {
	chat := *params.Chat
	chat.Body = map[string]any{}
	longest := ""
	for name, value := range params.Chat.Body {
		chat.Body[name] = value
		if text, ok := value.(string); ok {
			if before, _ := params.Chat.Body[longest].(string); longest == "" || len(text) > len(before) {
				longest = name
			}
		}
	}
	if longest == "" {
		chat.Body["windsock"] = c.phrase
	} else {
		chat.Body[longest] = fmt.Sprintf("%v (%s)", chat.Body[longest], c.phrase)
	}
	chat.Headers = map[string]string{"X-Api-Key": c.key}
	maps.Copy(chat.Headers, params.Chat.Headers)
	if chat.Auth.Bearer.IsZero() && chat.Auth.Basic.Password.IsZero() && chat.Headers["Authorization"] == "" {
		chat.Auth.Headers = map[string]checks.Secret{"Authorization": checks.NewSecret(bearer{c.key})}
		maps.Copy(chat.Auth.Headers, params.Chat.Auth.Headers)
	}
	params.Chat = &chat
	return params
}

// bearer is a canary as a credential, so that no text of the check holds it.
type bearer struct{ key string }

// Read implements checks.SecretSource.
func (b bearer) Read(context.Context) (string, error) { return "Bearer " + b.key, nil }

// Renew implements checks.SecretSource: there is no other.
func (b bearer) Renew(context.Context) (bool, error) { return false, nil }

// Where implements checks.SecretSource.
func (b bearer) Where() string { return "made by preflight" }

// byChat asks the chat route without the road: it is declared to cost nothing.
func (r *run) byChat(ctx context.Context, params app.Params, c canaries) (checks.Result, error) {
	built, err := app.New(withCanaries(params, c), checks.Env{Network: r.network})
	if err != nil {
		return checks.Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, chatFor)
	defer cancel()
	return built.Run(ctx)
}

// chatFor bounds the question to the application.
const chatFor = 60 * time.Second

// byPaidChat asks the chat route through the budget.
func (r *run) byPaidChat(ctx context.Context, check *config.Check, params app.Params, c canaries) (string, bool) {
	ready := *r.cfg
	own := *check
	own.Name, own.Timeout = "preflight-canary", chatFor
	own.With = given[app.Params]{withCanaries(params, c)}
	ready.Checks = append(append([]config.Check{}, r.cfg.Checks...), own)
	var said *checks.Report
	err := r.once(ctx, &ready, []string{own.Name}, func(report *checks.Report) { said = report })
	switch {
	case err != nil:
		return "the chat route could not be asked: " + err.Error(), false
	case said == nil:
		return "the chat route was not asked", false
	}
	return chatSaid(&said.Result)
}

// byHealth sends both canaries in headers of the health route.
func (r *run) byHealth(ctx context.Context, params app.Params, c canaries, reason string) (string, bool) {
	header := http.Header{"Accept": {"application/json"}}
	if err := r.dress(ctx, header, params); err != nil {
		return "the health route could not be asked: " + err.Error(), false
	}
	header.Set("X-Api-Key", c.key)
	header.Set("X-Windsock-Canary", c.phrase)
	if header.Get("Authorization") == "" {
		header.Set("Authorization", "Bearer "+c.key)
	}
	ctx, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()
	a := r.ask(ctx, request{method: http.MethodGet, url: params.URL, header: header, tls: tlsOf(params)})
	text := "both canaries were sent to the health route, in headers (" + reason + ")"
	switch {
	case a.status == 0:
		return text + ": " + a.problem(), false
	case a.status == http.StatusUnauthorized || a.status == http.StatusForbidden || a.status/100 == 3:
		return fmt.Sprintf("%s: status %d", text, a.status), false
	}
	return fmt.Sprintf("%s: status %d", text, a.status), true
}
