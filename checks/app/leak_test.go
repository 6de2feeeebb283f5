package app_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
)

// bareKey is shaped as Mistral's keys are.
const bareKey = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6"

func TestAKeyOrAStackTraceInTheAnswerIsAFindingThatIsNotQuoted(t *testing.T) {
	t.Parallel()
	const shown, traced = "rotate it", "stack trace"
	for name, tc := range map[string]struct{ text, canary, says string }{
		"a key with a mark":         {"401 for sk-proj-abcdefghijklmnop1234", "sk-proj-abcdefghijklmnop1234", shown},
		"a bearer token":            {"sent Authorization: Bearer tok3n-abcdefghijkl", "tok3n-abcdefghijkl", shown},
		"a key by its name":         {"api_key=abc123def456ghi789", "abc123def456ghi789", shown},
		"a password by its name":    {`config {"password": "correct-horse-77"}`, "correct-horse-77", shown},
		"a key as Mistral's":        {"Unauthorized: " + bareKey, bareKey, shown},
		"a JSON Web Token":          {"jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", "eyJzdWIiOiIxMjM0In0", shown},
		"a private key":             {"-----BEGIN RSA PRIVATE KEY-----\nMIIEabcdefghijklmnop", "MIIEabcdefghijklmnop", shown},
		"the watched secret":        {"key " + key + " refused", key, shown},
		"a part of it":              {"key " + key[:12] + "… refused", key[:12], shown},
		"the watched secret as hex": {fmt.Sprintf("%x", key), fmt.Sprintf("%x", key), shown},
		"the secret in base64":      {base64.StdEncoding.EncodeToString([]byte("user:" + key)), "", shown},
		"Node.js":                   {"Error: 429\n    at Mistral.chat (/srv/canary/node_modules/x/index.js:10:5)\n    at async handler (/srv/a.js:1:2)", "/srv/canary", traced},
		"Node.js without a name":    {"boom\n    at file:///srv/canary/a.mjs:3:9", "/srv/canary", traced},
		"Python":                    {"Traceback (most recent call last):\n  File \"/srv/canary.py\", line 3, in f", "/srv/canary", traced},
		"Go":                        {"panic: canary-4\n\ngoroutine 1 [running]:\nmain.main()\n\t/srv/main.go:3 +0x1d", "canary-4", traced},
		"Java":                      {"java.io.IOException: canary-4\n\tat com.acme.Chat.ask(Chat.java:42)", "canary-4", traced},
		".NET":                      {"   at Acme.Chat.Ask() in C:\\canary\\Chat.cs:line 42", "canary", traced},
		"words about a key":         {"the API key: missing-or-invalid-value, see authorization: required-by-policy", "missing-or-invalid", ""},
		"a masked key":              {"api_key=xxxxxxxxxxxxxxxx, token sk-…, Bearer [redacted], Bearer ****************", "", ""},
		"ids and checksums":         {"request 9f86d081884c7d659a2feaa0c55ad015, correlation 019a7c3e-7f6b-7e2f-9d2c-0a1b2c3d4e5f", "", ""},
		"words alone":               {"rate limited at 12:30:15, try again at https://status.example:443/x", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := json.Marshal(tc.text)
			if err != nil {
				t.Fatal(err)
			}
			for _, body := range []string{
				fmt.Sprintf(`{"services":{"mistral":{"status":"degraded","error":%s}}}`, text),
				fmt.Sprintf(`{"status":"degraded","error":{"detail":[{"message":%s}]}}`, text),
			} {
				r := run(t, params(serve(t, says(200, body)), "secrets: [{env: MISTRAL_API_KEY}]"))
				want := checks.Degraded
				if tc.says == shown {
					want = checks.Failed
				}
				if r.Status != want || r.Cause != checks.CauseAssertion || strings.Contains(r.Summary, "stack trace") != (tc.says == traced) || strings.Contains(r.Summary, "rotate") != (tc.says == shown) {
					t.Errorf("%s: %s %q: %q, want %s and %q", body, r.Status, r.Cause, r.Summary, want, tc.says)
				}
				if all := fmt.Sprintf("%+v", r); tc.canary != "" && (strings.Contains(all, tc.canary) || checktest.Leak(all, tc.canary) != "") {
					t.Errorf("%s is quoted in %s", tc.canary, all)
				}
			}
		})
	}
}

func TestALeakIsFoundWhereverTheApplicationFails(t *testing.T) {
	t.Parallel()
	trace := "Traceback (most recent call last):\n  File \"/srv/x.py\", line 3"
	for name, tc := range map[string]struct {
		code  int
		body  string
		cause checks.Cause
		says  string
	}{
		"a page of a framework":      {500, "<html><pre>" + trace + "</pre>", checks.CauseServer, "500 Internal Server Error with HTML; the answer shows a stack trace"},
		"a 404 with a credential":    {404, "cannot GET, sent Bearer abc123def456ghi", checks.CauseBadRequest, "rotate it"},
		"an unknown shape":           {200, `{"config":{"apiKey":"abc123def456ghi789"}}`, checks.CauseMalformed, "rotate it"},
		"a key among what is well":   {200, strings.Replace(inside, `"status":"ok"`, `"env":{"MISTRAL_API_KEY":"abc123def456ghi789"}`, 1), checks.CauseAssertion, "rotate it"},
		"a key for a model":          {200, strings.Replace(inside, "mistral-small-latest", key, 1), checks.CauseAssertion, "one of the secrets"},
		"an unhealthy one that does": {503, `{"status":"unhealthy","error":"Bearer abc123def456ghi"}`, checks.CauseAssertion, "rotate it"},
	} {
		r := run(t, params(serve(t, says(tc.code, tc.body)), "secrets: [{env: MISTRAL_API_KEY}]"))
		if r.Status != checks.Failed || r.Cause != tc.cause || !strings.Contains(r.Summary, tc.says) {
			t.Errorf("%s: %s %q: %q, want failed %q: …%s…", name, r.Status, r.Cause, r.Summary, tc.cause, tc.says)
		}
		if all := fmt.Sprintf("%+v", r); strings.Contains(all, "abc123def456") {
			t.Errorf("%s: the key is quoted in %s", name, all)
		}
	}
}

func TestTheCredentialThatWasSentMustNotComeBack(t *testing.T) {
	t.Parallel()
	url := serve(t, says(200, strings.Replace(inside, `"status":"ok"`, `"you":"`+key+`"`, 1)))
	for name, auth := range map[string]string{"bearer": "auth: {bearer: {env: A}}", "basic": "auth: {basic: {username: me, password: {env: A}}}", "header": "auth: {headers: {X-Key: {env: A}}}"} {
		if r := run(t, params(url, auth)); r.Status != checks.Failed || !strings.Contains(r.Summary, "the credential that was sent") {
			t.Errorf("%s: %s %q", name, r.Status, r.Summary)
		}
	}
}
