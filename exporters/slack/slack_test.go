package slack_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/exportertest"
	"github.com/windsock-monitor/windsock/exporters/slack"
)

const (
	firing   = checks.AlertFiring
	resolved = checks.AlertResolved
)

func TestAMessageIsWhatTheRunbookWants(t *testing.T) {
	w := newWorld(t)
	e := build(t, "webhook_url: {env: U}\n", w.url+"/services/T0/B0/"+key, nil)
	a := alert("api-down", firing, checks.P1, 0)
	a.RespondBy, a.Commander, a.Diagnosis = noon().Add(15*time.Minute), "a.turing", "the second key fails too"
	send(t, e, a)
	posts := w.seen()
	if len(posts) != 1 {
		t.Fatalf("%d messages, want one", len(posts))
	}
	want := strings.Join([]string{
		"[P1] api-down is firing: 3 of 3 runs of chat failed",
		"[P1] api-down is firing",
		"3 of 3 runs of chat failed",
		"*Severity*", "P1",
		"*Status*", "firing since <!date^1795435200^{date_short_pretty} {time}|2026-11-23 12:00 UTC>",
		"*Impact*", "nobody gets an answer",
		"*Next update*", "by <!date^1795436100^{date_short_pretty} {time}|2026-11-23 12:15 UTC>",
		"*Incident commander*", "a.turing",
		"*Value*", "`6.25, threshold 5`",
		"*Blame*", "provider",
		"*Incident*", "inc-1",
		"*Diagnosis*", "the second key fails too",
		"*Action*", "look at the status page",
		"`check=chat` `provider=mistral`",
		"<https://github.com/windsock-monitor/windsock/blob/main/docs/runbook/api-down.md|Runbook>",
	}, "\n")
	if diff := cmp.Diff(want, posts[0].all()); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
}

func TestTheRunbookIsTheTeamsWhereItHasOne(t *testing.T) {
	for want, tt := range map[string]struct{ with, ofTheFile string }{
		exporters.Runbooks + "api-down.md": {"webhook_url: {env: U}\n", ""},
		"https://wiki.example/api-down":    {"webhook_url: {env: U}\n", "https://wiki.example/"},
		"https://pages.example/#api-down":  {"webhook_url: {env: U}\nrunbook_url: https://pages.example/#\n", "https://wiki.example/"},
	} {
		w := newWorld(t)
		e := buildIn(t, tt.with, w.url+"/services/T0/B0/"+key, exporters.Env{Runbooks: tt.ofTheFile})
		send(t, e, alert("api-down", firing, checks.P1, 0))
		if posts := w.seen(); len(posts) != 1 || !strings.Contains(posts[0].all(), "<"+want+"|Runbook>") {
			t.Errorf("no link to %s in %+v", want, posts)
		}
	}
}

func TestMessagesSayWhatIsNew(t *testing.T) {
	w := newWorld(t)
	e := build(t, "webhook_url: {env: U}\nmention: {P1: here, P2: S0123456789}\n", w.url+"/x", nil)
	send(t, e, alert("api-down", firing, checks.P2, 0))
	send(t, e, alert("high-latency", firing, checks.P3, 1))
	send(t, e, alert("api-down", firing, checks.P1, 2))
	reminder := alert("api-down", firing, checks.P1, 30)
	reminder.Reminder = true
	send(t, e, reminder)
	taken := alert("api-down", firing, checks.P1, 31)
	taken.Reminder, taken.Commander = true, "g.hopper"
	send(t, e, taken)
	send(t, e, alert("high-latency", resolved, checks.P3, 31))
	send(t, e, alert("api-down", resolved, checks.P1, 32))
	want := [][]string{
		{"<!subteam^S0123456789> [P2] api-down is firing", "not yet named"},
		{"[P3] high-latency is firing", "Also open:\n• [P2] api-down is firing"},
		{"<!here> [P1] api-down is firing", "P1, was P2", "Also open:\n• [P3] high-latency"},
		{"Reminder: [P1] api-down is firing", "was due <!date^"},
		{"Acknowledged: [P1] api-down is firing", "g.hopper"},
		{"[P3] high-latency is resolved", "none, it is over", "Also open:\n• [P1] api-down is firing"},
		{"[P1] api-down is resolved", "none, it is over"},
	}
	posts := w.seen()
	if len(posts) != len(want) {
		t.Fatalf("%d messages, want %d", len(posts), len(want))
	}
	for i, parts := range want {
		all := posts[i].all()
		for _, part := range parts {
			if !strings.Contains(all, part) {
				t.Errorf("message %d is\n%s\nwant %q in it", i, all, part)
			}
		}
		if calls := strings.Contains(all, "<!here>") || strings.Contains(all, "subteam"); calls != (i == 0 || i == 2) {
			t.Errorf("message %d calls somebody: %t", i, calls)
		}
	}
	if last := posts[len(posts)-1].all(); strings.Contains(last, "open") || strings.Contains(last, "*Action*") {
		t.Errorf("the last message is\n%s\nwant nothing open and nothing to do", last)
	}
}

func TestABotKeepsItsFirstMessageUpToDate(t *testing.T) {
	w := newWorld(t)
	e := build(t, w.toBot(), key, nil)
	send(t, e, alert("api-down", firing, checks.P2, 0))
	state := send(t, e, alert("high-latency", firing, checks.P3, 1))
	e = build(t, w.toBot(), key, state) // a restart
	send(t, e, alert("api-down", firing, checks.P1, 2))
	send(t, e, alert("api-down", resolved, checks.P1, 3))
	send(t, e, alert("high-latency", resolved, checks.P3, 4))
	send(t, e, alert("api-down", firing, checks.P2, 60))
	var got []string
	for _, p := range w.seen() {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s %t %s", p.Method, p.TS, p.ThreadTS, p.Broadcast, p.Blocks[0].Text.Text)))
		if want := map[bool]string{true: "#alerts", false: "C0123456789"}[p.TS == "" && p.ThreadTS == ""]; p.Channel != want {
			t.Errorf("%s goes to %q, want %q", p.Method, p.Channel, want)
		}
	}
	const ts = "1700000000.000001"
	want := []string{
		"chat.postMessage   false [P2] api-down is firing",
		"chat.update " + ts + "  false [P2] api-down is firing", "chat.postMessage  " + ts + " false [P3] high-latency is firing",
		"chat.update " + ts + "  false [P1] api-down is firing", "chat.postMessage  " + ts + " true [P1] api-down is firing",
		"chat.update " + ts + "  false [P3] high-latency is firing", "chat.postMessage  " + ts + " false [P1] api-down is resolved",
		"chat.update " + ts + "  false [P3] high-latency is resolved", "chat.postMessage  " + ts + " true [P3] high-latency is resolved",
		"chat.postMessage   false [P2] api-down is firing", // another incident begins anew
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// TestARetryRepeatsOnlyWhatDoesNoHarm: the thread is written to last, so what failed before comes again without a double.
func TestARetryRepeatsOnlyWhatDoesNoHarm(t *testing.T) {
	w := newWorld(t)
	e := build(t, w.toBot(), key, nil)
	send(t, e, alert("api-down", firing, checks.P2, 0))
	for _, method := range []string{"chat.update", "chat.postMessage"} {
		w.say(func(out http.ResponseWriter, m string) bool {
			if m == method {
				out.WriteHeader(http.StatusServiceUnavailable)
			}
			return m == method
		})
		if _, err := e.Export(t.Context(), records(alert("api-down", resolved, checks.P2, 1))); exportertest.ClassOf(err) != exportertest.Retry {
			t.Fatalf("with a %s that fails: %v, want Retry", method, err)
		}
	}
	w.say(nil)
	send(t, e, alert("api-down", resolved, checks.P2, 1))
	var replies int
	for _, p := range w.seen() {
		if p.ThreadTS != "" {
			replies++
		}
	}
	if replies != 1 {
		t.Errorf("%d messages in the thread, want 1", replies)
	}
}

func TestADeletedMessageBeginsAnew(t *testing.T) {
	w := newWorld(t)
	e := build(t, w.toBot(), key, nil)
	send(t, e, alert("api-down", firing, checks.P2, 0))
	w.say(func(out http.ResponseWriter, m string) bool {
		if m == "chat.update" {
			_, _ = io.WriteString(out, `{"ok":false,"error":"message_not_found"}`)
		}
		return m == "chat.update"
	})
	send(t, e, alert("api-down", firing, checks.P1, 1))
	w.say(func(out http.ResponseWriter, m string) bool {
		if m == "chat.update" {
			_, _ = io.WriteString(out, `{"ok":false,"error":"edit_window_closed"}`)
		}
		return m == "chat.update"
	})
	send(t, e, alert("api-down", resolved, checks.P1, 2))
	posts := w.seen()
	if len(posts) != 3 || posts[1].ThreadTS != "" || posts[2].ThreadTS != "1700000000.000002" {
		t.Errorf("posts are %+v, want a new message and the end in its thread", posts)
	}
}

// TestNothingThatAnAlertSaysCallsAnybody: markup of Slack in every text of an alert is shown as it stands.
func TestNothingThatAnAlertSaysCallsAnybody(t *testing.T) {
	hostile := []string{
		"<!channel>", "<!here|x>", "<@U0123456>", "<!subteam^S0123>", "<https://evil.example|safe>", "@channel", "&lt;!channel&gt;", "``` <!everyone> `",
		"*bold*\n>quote\u2028<!channel>", strings.Repeat("<", 5000), strings.Repeat("&", 5000), "\xff<\x00!channel>", strings.Repeat("ünïcödé ", 2000),
	}
	for i, bad := range hostile {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			w := newWorld(t)
			a := alert(bad, firing, checks.P1, 0)
			a.Summary, a.Impact, a.Action, a.Diagnosis, a.Commander, a.Incident, a.Runbook = bad, bad, bad, bad, bad, bad, bad
			a.Blame, a.Severity = checks.Blame(bad), checks.Severity(bad)
			for j := range 100 {
				a.Labels[fmt.Sprintf("%02d%s", j, bad)] = bad
			}
			var more []*checks.Alert
			for j := range 30 {
				other := alert(fmt.Sprintf("%s%d", bad, j), firing, checks.P1, 0)
				other.Summary = bad
				more = append(more, other)
			}
			send(t, build(t, w.toBot(), key, nil), append(more, a)...)
			send(t, build(t, "webhook_url: {env: U}\n", w.url+"/x", nil), a)
			for _, p := range w.seen() {
				p.Blocks = p.Blocks[1:] // the header is plain text, in which nothing is markup
				shown := strings.NewReplacer("<!date^", "", "<https://github.com/windsock-monitor/", "").Replace(p.all())
				for _, call := range []string{"<!", "<@", "<#", "<http"} {
					if strings.Contains(shown, call) {
						t.Errorf("%q stands in the message: %.300q", call, shown)
					}
				}
			}
		})
	}
}

func TestTheLinkOfARunbookStaysALink(t *testing.T) {
	w := newWorld(t)
	a := alert("api-down", firing, checks.P1, 0)
	a.Runbook = "https://wiki.example/a?b=1&c=<!channel>|x"
	send(t, build(t, "webhook_url: {env: U}\n", w.url+"/x", nil), a)
	if all := w.seen()[0].all(); !strings.HasSuffix(all, "<https://wiki.example/a?b=1&amp;c=%3C!channel%3E%7Cx|Runbook>") {
		t.Errorf("message is\n%s", all)
	}
}

func TestWhatSlackSays(t *testing.T) {
	hour := http.Header{"Retry-After": {"3600"}}
	tests := map[string]struct {
		status int
		header http.Header
		body   string
		want   exportertest.Class
	}{
		"invalid_auth":       {200, nil, `{"ok":false,"error":"invalid_auth"}`, exportertest.Hold},
		"channel_not_found":  {200, nil, `{"ok":false,"error":"channel_not_found"}`, exportertest.Hold},
		"missing_scope":      {200, nil, `{"ok":false,"error":"missing_scope","needed":"chat:write"}`, exportertest.Hold},
		"a word of tomorrow": {200, nil, `{"ok":false,"error":"moon_phase"}`, exportertest.Hold},
		"ratelimited":        {200, hour, `{"ok":false,"error":"ratelimited"}`, exportertest.Retry},
		"429":                {429, hour, `{"ok":false,"error":"ratelimited"}`, exportertest.Retry},
		"internal_error":     {200, nil, `{"ok":false,"error":"internal_error"}`, exportertest.Retry},
		"HTML with 200":      {200, nil, "<html>please log in, " + key + "</html>", exportertest.Retry},
		"nothing with 200":   {200, nil, "", exportertest.Retry},
		"JSON of another":    {200, nil, `{"status":"success"}`, exportertest.Retry},
		"half an answer":     {200, nil, `{"ok":tr`, exportertest.Retry},
		"a redirect":         {302, http.Header{"Location": {"http://127.0.0.1:1/" + key}}, "", exportertest.Hold},
		"500":                {500, nil, "oops " + key, exportertest.Retry},
	}
	for name, tt := range tests {
		t.Run("to a bot: "+name, func(t *testing.T) {
			w := newWorld(t)
			refuses(t, w, build(t, w.toBot(), key, nil), tt.status, tt.header, tt.body, tt.want)
		})
	}
	hooks := map[string]struct {
		status int
		header http.Header
		body   string
		want   exportertest.Class
	}{
		"no_service":            {404, nil, "no_service", exportertest.Hold},
		"channel_is_archived":   {410, nil, "channel_is_archived", exportertest.Hold},
		"action_prohibited":     {403, nil, "action_prohibited", exportertest.Hold},
		"user_not_found":        {400, nil, "user_not_found", exportertest.Hold},
		"429":                   {429, hour, "", exportertest.Retry},
		"rollup_error":          {500, nil, "rollup_error", exportertest.Retry},
		"HTML with 200":         {200, nil, "<html>please log in, " + key + "</html>", exportertest.Retry},
		"the Web API is no one": {200, nil, `{"ok":false,"error":"unknown_method"}`, exportertest.Hold},
	}
	for name, tt := range hooks {
		t.Run("to a webhook: "+name, func(t *testing.T) {
			w := newWorld(t)
			refuses(t, w, build(t, "webhook_url: {env: U}\n", w.url+"/services/"+key, nil), tt.status, tt.header, tt.body, tt.want)
		})
	}
}

// refuses sends to a Slack that says this, and then to one that is well: nothing is lost.
func refuses(t *testing.T, w *world, e exporters.Exporter, status int, header http.Header, body string, want exportertest.Class) {
	t.Helper()
	w.say(func(out http.ResponseWriter, _ string) bool {
		maps.Copy(out.Header(), header)
		out.WriteHeader(status)
		_, _ = io.WriteString(out, body)
		return true
	})
	batch := records(alert("api-down", firing, checks.P1, 0))
	_, err := e.Export(t.Context(), batch)
	if got := exportertest.ClassOf(err); got != want {
		t.Fatalf("got %v (%s), want %s", err, got, want)
	}
	if form := checktest.Leak(err.Error(), key); form != "" {
		t.Errorf("the error holds the key (%s): %v", form, err)
	}
	if header.Get("Retry-After") != "" && exporters.RetryAfter(err) != time.Hour {
		t.Errorf("again after %s, want an hour", exporters.RetryAfter(err))
	}
	w.say(nil)
	if out, err := e.Export(t.Context(), batch); err != nil || len(out.Rejected) > 0 || len(w.seen()) != 1 {
		t.Errorf("then %v, rejected %v, %d messages, want one", err, out.Rejected, len(w.seen()))
	}
}

// TestARefusedMessageIsRejectedAlone: a message that Slack will never take does not stop the next.
func TestARefusedMessageIsRejectedAlone(t *testing.T) {
	for name, answer := range map[string]struct {
		status int
		body   string
	}{"invalid_blocks": {200, `{"ok":false,"error":"invalid_blocks"}`}, "invalid_payload": {400, "invalid_payload"}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.say(func(out http.ResponseWriter, _ string) bool {
				out.WriteHeader(answer.status)
				_, _ = io.WriteString(out, answer.body)
				return true
			})
			e := build(t, w.toBot(), key, nil)
			out, err := e.Export(t.Context(), records(alert("api-down", firing, checks.P1, 0)))
			if err != nil || len(out.Rejected) != 1 {
				t.Errorf("got %v, rejected %v, want the one rejected", err, out.Rejected)
			}
		})
	}
}

func TestSecretsThatCannotBeUsedHold(t *testing.T) {
	tests := map[string]struct{ with, secret string }{
		"no token":              {"token: {env: T}\nchannel: c\n", ""},
		"a token of two lines":  {"token: {env: T}\nchannel: c\n", key + "\nx"},
		"no webhook":            {"webhook_url: {env: U}\n", ""},
		"a webhook over http":   {"webhook_url: {env: U}\n", "http://hooks.example/" + key},
		"a webhook of no URL":   {"webhook_url: {env: U}\n", key},
		"a webhook with a user": {"webhook_url: {env: U}\n", "https://a:" + key + "@hooks.example/x"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := build(t, tt.with, tt.secret, nil).Export(t.Context(), records(alert("api-down", firing, checks.P1, 0)))
			if exportertest.ClassOf(err) != exportertest.Hold {
				t.Fatalf("got %v, want Hold", err)
			}
			if form := checktest.Leak(err.Error(), key); form != "" {
				t.Errorf("the error holds the key (%s): %v", form, err)
			}
		})
	}
}

func TestThereIsSomewhereToPost(t *testing.T) {
	e, err := slack.Kind().New(exportertest.Decoder("timeout: 5s\n", ""), exporters.Env{})
	if err == nil || e != nil || !strings.Contains(err.Error(), "webhook_url") {
		t.Errorf("got %v, %v, want an error that names webhook_url", e, err)
	}
}

func refused() map[string]string {
	return map[string]string{
		"a webhook and a token":     "webhook_url: {env: U}\ntoken: {env: T}\nchannel: c\n",
		"a token without a channel": "token: {env: T}\n",
		"a channel of a webhook":    "webhook_url: {env: U}\nchannel: c\n",
		"a channel of two":          "token: {env: T}\nchannel: \"a b\"\n",
		"a mention of nobody":       "webhook_url: {env: U}\nmention: {P1: \"@bob\"}\n",
		"a mention of no severity":  "webhook_url: {env: U}\nmention: {P7: here}\n",
		"an API over http":          "token: {env: T}\nchannel: c\napi_url: http://slack.example/api\n",
		"no bound":                  "webhook_url: {env: U}\ntimeout: 0s\n",
		"a runbook of no URL":       "webhook_url: {env: U}\nrunbook_url: wiki\n",
		"a severity that is none":   "webhook_url: {env: U}\nmatch: {severity: [P9]}\n",
	}
}

const page = "../../docs/exporters/slack.md"

func TestTheSuiteOfABot(t *testing.T) {
	exportertest.Run(t, exportertest.Options{
		Kind: slack.Kind(), Key: key, Refused: refused(), Page: page,
		Classes: map[exportertest.Fault]exportertest.Class{exportertest.TooLarge: exportertest.Poison}, // alert by alert
		Backend: func(t *testing.T, fault exportertest.Fault) (exportertest.Case, bool) {
			t.Helper()
			url := exportertest.HTTPBackend(t, fault, newWorld(t))
			return exportertest.Case{With: "token: {env: T}\nchannel: alerts\napi_url: " + url + "/api\n"}, true
		},
	})
}

func TestTheSuiteOfTellingAsABot(t *testing.T) {
	exportertest.RunNotifier(t, exportertest.Notifier{Kind: slack.Kind(), Key: key, Sink: func(t *testing.T, answer func() int) (exportertest.Case, func() []exportertest.Told) {
		t.Helper()
		w := newWorld(t)
		w.say(func(out http.ResponseWriter, _ string) bool {
			status := answer()
			if status != 0 {
				out.WriteHeader(status)
			}
			return status != 0
		})
		return exportertest.Case{With: w.toBot()}, w.told
	}})
}

// told are the messages but for what only brings the first one up to date.
func (w *world) told() []exportertest.Told {
	var all []exportertest.Told
	for _, p := range w.seen() {
		title := p.Blocks[0].Text.Text
		event := "opened"
		switch {
		case p.Method == "chat.update":
			continue
		case strings.HasPrefix(title, "Reminder"):
			event = "reminder"
		case strings.HasSuffix(title, "is resolved"):
			event = "resolved"
		case strings.Contains(p.all(), ", was P"):
			event = "changed"
		}
		all = append(all, exportertest.Told{Event: event, Rule: strings.Fields(title[strings.Index(title, "]")+1:])[0]})
	}
	return all
}

func TestAWebhookTellsWhatIsRoutedToIt(t *testing.T) {
	w := newWorld(t)
	var told []string
	e := build(t, "webhook_url: {env: U}\ngroup_by: [rule]\nreminders: false\nmatch: {severity: [P1, P2]}\n", w.url+"/services/"+key, nil)
	reminder := alert("a", firing, checks.P2, 1)
	reminder.Reminder = true
	send(t, e, alert("a", firing, checks.P2, 0), reminder, alert("b", firing, checks.P3, 0), alert("a", resolved, checks.P2, 2), alert("b", resolved, checks.P3, 2))
	for _, it := range w.told() {
		told = append(told, it.Event+" "+it.Rule)
	}
	if diff := cmp.Diff([]string{"opened a", "resolved a"}, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

func TestADrillIsMarked(t *testing.T) {
	w := newWorld(t)
	e := build(t, "webhook_url: {env: U}\n", w.url+"/x", nil)
	for _, state := range []checks.AlertState{firing, resolved} {
		a := alert("api-down", state, checks.P1, 0)
		a.Previous = map[checks.AlertState]checks.AlertState{firing: checks.AlertPending, resolved: firing}[state]
		a.Labels[checks.LabelDrill] = "5xx"
		if state == resolved {
			a.At = a.At.Add(time.Minute)
		}
		send(t, e, a)
	}
	for i, state := range []string{"firing", "resolved"} {
		want := "DRILL [P1] api-down is " + state + ": 3 of 3 runs of chat failed\nDRILL [P1] api-down is " + state + "\nDRILL 3 of 3 runs"
		if got := w.seen()[i].all(); !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want it to begin with %q", got, want)
		}
	}
}
