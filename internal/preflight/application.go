package preflight

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/app"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

const (
	answersWithin = 5 * time.Second // the health route, by the checklist
	noSuchPath    = "/windsock-preflight/no-such-path"
)

// application looks at the health route, at error pages, and whether what is sent is logged: one after the other, so that
// the log holds what it should.
func (r *run) application(ctx context.Context) {
	if r.noConfig(itemHealth, itemErrors, itemLog) {
		return
	}
	check, params, problem := r.appCheck()
	if problem != nil {
		for _, id := range []string{itemHealth, itemErrors, itemLog} {
			r.set(id, *problem)
		}
		return
	}
	health := r.health(ctx, params)
	if ctx.Err() != nil {
		return
	}
	r.set(itemHealth, health)
	errs := r.errorPages(ctx, params)
	if ctx.Err() != nil {
		return
	}
	r.set(itemErrors, errs)
	hygiene := r.logHygiene(ctx, check, params)
	if ctx.Err() != nil {
		return
	}
	r.set(itemLog, hygiene)
}

// appCheck is the check that says where the application is.
func (r *run) appCheck() (*config.Check, app.Params, *finding) {
	var found []*config.Check
	for i := range r.cfg.Checks {
		c := &r.cfg.Checks[i]
		if c.Kind == "app" && (r.cfg.Preflight.App == "" || r.cfg.Preflight.App == c.Name) {
			found = append(found, c)
		}
	}
	switch len(found) {
	case 0:
		f := blocked("add a check of the kind app, with the address of the health route", "no check says where the application is")
		return nil, app.Params{}, &f
	case 1:
	default:
		f := blocked("add preflight.app: "+found[0].Name, "there are %d checks of the kind app, and nothing says which is meant", len(found))
		return nil, app.Params{}, &f
	}
	defaults, _ := app.Kind().Defaults.(app.Params)
	params, err := checks.DecodeParams(found[0].With, defaults)
	if err != nil {
		f := blocked("mend the check "+found[0].Name, "the check %s cannot be read: %v", found[0].Name, err)
		return nil, app.Params{}, &f
	}
	return found[0], params, nil
}

// health runs the check of the kind app, and judges what it saw by the checklist: an application that says of itself that it is
// degraded conforms.
func (r *run) health(ctx context.Context, params app.Params) finding {
	params.Chat = nil
	built, err := app.New(params, checks.Env{Log: slog.New(slog.DiscardHandler), Network: r.network})
	if err != nil {
		return blocked("mend the check of the kind app", "%v", err)
	}
	within := cmp.Or(r.o.Within, answersWithin)
	bounded, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	began := time.Now()
	result, err := built.Run(bounded)
	took := time.Since(began).Round(time.Millisecond)
	if err != nil {
		return blocked("make the credentials of the check of the kind app readable for who runs this", "the health route could not be asked: %v", err)
	}
	var bad, evidence []string
	for _, s := range result.Evidence {
		if s.OK {
			continue
		}
		evidence = append(evidence, s.Name+": "+s.Detail)
		if strings.Contains(" shape agreement no_key no_stack_trace error_text age ", " "+s.Name+" ") {
			bad = append(bad, s.Name)
		}
	}
	const mend = "docs/checks/app.md says what a health route answers"
	switch {
	case bounded.Err() != nil && ctx.Err() == nil:
		return fail("answer within five seconds: ask nobody else on the health route", "the health route did not answer within %s", within).with(evidence...)
	case len(bad) > 0:
		return fail(mend, "%s", result.Summary).with(evidence...)
	case result.Status == checks.OK, result.Status == checks.Degraded && result.Cause == checks.CauseAssertion:
		return pass("%s, after %s", result.Summary, took)
	case result.Cause == checks.CauseAuth, result.Cause == checks.CauseForbidden, result.Cause == checks.CauseUnexpectedRedirect:
		return blocked("give the check of the kind app what the route asks for: with: {auth: …}", "something stands before the health route: %s", result.Summary).with(evidence...)
	case result.Cause == checks.CauseAssertion:
		return fail("make the application healthy before it is deployed", "%s", result.Summary).with(evidence...)
	case result.Cause.Blame() == checks.BlameNetwork, result.Cause == checks.CauseConnect, result.Status == checks.Error, result.Status == checks.Unknown:
		return blocked("start the application, or mend the address of the check of the kind app", "the health route could not be asked: %s", result.Summary).with(evidence...)
	}
	return fail(mend, "%s", result.Summary).with(evidence...)
}

// errorPages asks wrongly, and looks at what is shown then.
func (r *run) errorPages(ctx context.Context, params app.Params) finding {
	base, err := url.Parse(params.URL)
	if err != nil {
		return blocked("mend the check of the kind app", "its address is none")
	}
	asked := []struct {
		what   string
		method string
		url    string
		body   []byte
	}{
		{"a path that is none", http.MethodGet, base.Scheme + "://" + base.Host + noSuchPath, nil},
		{"the health route with what is no JSON", http.MethodPost, params.URL, []byte(`{"windsock":`)},
	}
	if params.Chat != nil {
		asked = append(asked, asked[0])
		asked[2].what, asked[2].url = "the chat route by GET", params.Chat.URL
		if params.Chat.MaxCostUSD == 0 { // whatever it makes of it
			asked = append(asked, asked[1])
			asked[3].what, asked[3].url = "the chat route with what is no JSON", params.Chat.URL
		}
	}
	var bad, evidence, silent []string
	for _, q := range asked {
		header := http.Header{"Accept": {"application/json"}, "Content-Type": {"application/json"}}
		if err := r.dress(ctx, header, params); err != nil {
			return blocked("make the credentials of the check of the kind app readable for who runs this", "%v", err)
		}
		bounded, cancel := context.WithTimeout(ctx, cmp.Or(r.o.Within, answersWithin))
		a := r.ask(bounded, request{q.method, q.url, header, q.body, tlsOf(params)})
		cancel()
		what := app.Shows(a.text())
		if what == "" && r.shows(header, a) {
			what = "the credential that was sent"
		}
		switch {
		case a.status == 0:
			silent = append(silent, q.what+": "+a.problem())
		case what != "":
			bad = append(bad, fmt.Sprintf("%s: %d with %s", q.what, a.status, what))
		default:
			evidence = append(evidence, fmt.Sprintf("%s: %d, %d bytes", q.what, a.status, len(a.body)))
		}
	}
	switch {
	case len(bad) > 0:
		return fail("answer errors with a word and a request id, and log the rest", "%s", strings.Join(bad, "; ")).with(evidence...)
	case len(silent) > 0:
		return blocked("start the application, or see why it does not answer", "not every wrong question was answered").with(silent...).with(evidence...)
	}
	return pass("%s were answered without", many(len(asked), "wrong question")).with(evidence...)
}

// shows reports whether an answer holds a credential of the request.
func (r *run) shows(header http.Header, a answer) bool {
	sent := header.Get("Authorization")
	if _, token, ok := strings.Cut(sent, " "); ok {
		sent = token
	}
	return len(sent) >= 8 && bytes.Contains(a.body, []byte(sent))
}

// dress adds the credentials of the health route.
func (r *run) dress(ctx context.Context, header http.Header, params app.Params) error {
	auth := params.Auth
	if !auth.Basic.Password.IsZero() {
		password, err := auth.Basic.Password.Reveal(ctx)
		if err != nil {
			return err
		}
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(auth.Basic.Username+":"+password)))
	}
	return authorized(ctx, header, auth.Bearer, auth.Headers)
}

func tlsOf(params app.Params) *outbound.TLS {
	t := params.TLS
	if t.CAFile == "" && t.ServerName == "" && t.CertFile == "" {
		return nil
	}
	return &outbound.TLS{CAFile: t.CAFile, ServerName: t.ServerName, CertFile: t.CertFile, KeyFile: t.KeyFile}
}
