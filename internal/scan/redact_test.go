package scan_test

import (
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/internal/scan"
)

func TestRedact(t *testing.T) {
	t.Parallel()
	key := lot(32, base62)
	jwt := "ey" + "J" + lot(30, base62) + ".ey" + "J" + lot(40, base62) + "." + lot(43, base62)
	for name, tt := range map[string]struct{ line, want string }{
		"nothing":              {`level=info msg="order explained" status=200 took=1.2s model=mistral-small-2603`, `level=info msg="order explained" status=200 took=1.2s model=mistral-small-2603`},
		"ids stay":             {"request_id=3f2a9c1e-7b4d-4e8a-9c6f-1d2e3f4a5b6c trace_id=" + lot(32, hex), "request_id=3f2a9c1e-7b4d-4e8a-9c6f-1d2e3f4a5b6c trace_id=" + lot(32, hex)},
		"counts stay":          {`{"prompt_tokens": 15, "max_tokens": 16, "tokens": 1}`, `{"prompt_tokens": 15, "max_tokens": 16, "tokens": 1}`},
		"ULID stays":           {"id=01KB6Z3V8Q2M4N5P6R7S8T9VWX", "id=01KB6Z3V8Q2M4N5P6R7S8T9VWX"},
		"path stays":           {"GET /srv/orders/src/components/Explain2Order/index.ts 404", "GET /srv/orders/src/components/Explain2Order/index.ts 404"},
		"bearer":               {"Authorization: Bearer " + key + " sent", "Authorization: Bearer [redacted] sent"},
		"bearer, short":        {`"authorization":"Bearer hunter2"`, `"authorization":"Bearer [redacted]"`},
		"basic":                {"authorization: Basic dXNlcjpwYXNz", "authorization: Basic [redacted]"},
		"bare key":             {"using " + key + " now", "using [redacted] now"},
		"key by name":          {"api_key=abc", "api_key=[redacted]"},
		"JSON":                 {`{"apiKey":"a \" b","n":1}`, `{"apiKey":"[redacted]","n":1}`},
		"JSON in JSON":         {`{"body":"{\"api_key\":\"abc\",\"n\":1}"}`, `{"body":"{\"api_key\":\"[redacted]\",\"n\":1}"}`},
		"Python":               {"{'password': 'p w', 'n': 1}", "{'password': '[redacted]', 'n': 1}"},
		"header map":           {"X-Api-Key:[" + key + "]", "X-Api-Key:[[redacted]]"},
		"query":                {"GET /v1?api_key=abc&n=1", "GET /v1?api_key=[redacted]&n=1"},
		"address":              {"dial postgres://orders:pw@db:5432/orders", "dial postgres://[redacted]@db:5432/orders"},
		"AWS":                  {"AK" + "IA" + lot(16, "ABCDEFGHJK234567") + " denied", "[redacted] denied"},
		"GitHub":               {"gh" + "p_" + lot(36, base62), "[redacted]"},
		"web token":            {"cookie-less " + jwt + " end", "cookie-less [redacted] end"},
		"another scheme":       {"Authorization: ApiKey hunter2", "Authorization: [redacted] [redacted]"},
		"header pair":          {`send [(b'accept', b'*/*'), (b'x-api-key', b'hunter2'), ("api-key","a")]`, `send [(b'accept', b'*/*'), (b'x-api-key', b'[redacted]'), ("api-key","[redacted]")]`},
		"names of fields":      {`want one of ["api_key", "model"]`, `want one of ["api_key", "model"]`},
		"flag":                 {"ExecStart=/srv/shop --api-key hunter2 --port 80 --token 'a b' --max-tokens 5", "ExecStart=/srv/shop --api-key [redacted] --port 80 --token '[redacted]' --max-tokens 5"},
		"flag, as a list":      {`spawn ['shop', '--password', 'hunter2', '-v']`, `spawn ['shop', '--password', '[redacted]', '-v']`},
		"flag without a value": {"usage: shop --token --verbose", "usage: shop --token --verbose"},
		"two words":            {"API key: hunter2, secret key = abc", "API key: [redacted], secret key = [redacted]"},
		"coloured":             {"\x1b[36mapi_key\x1b[0m=\x1b[35mhunter2\x1b[0m \x1b[1mn=1", "api_key=[redacted] n=1"},
		"list":                 {"API_KEYS=abc,def n=1 password=a,b,user=c", "API_KEYS=[redacted] n=1 password=[redacted],user=c"},
		"at in a password":     {"dial postgres://orders:p@w@db:5432/orders?to=a@b", "dial postgres://[redacted]@db:5432/orders?to=a@b"},
		"escaped query":        {"next=%2Fv1%3Fapi_key%3Dabc", "next=%2Fv1%3Fapi_key%3D[redacted]"},
		"cookie":               {"Cookie: session=abc; other=def", "Cookie: [redacted]"},
		"set-cookie":           {`"set-cookie":"a=b; Path=/"`, `"set-cookie":"[redacted]"`},
		"private key, a line":  {`key "-----BEGIN ` + `PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n" end`, `key "[redacted]\n" end`},
		"private key, begun":   {"-----BEGIN " + "RSA PRIVATE KEY-----", "[redacted]"},
		"private key, body":    {lot(64, base62), "[redacted]"},
		"e-mail":               {"for jo.doe+x@mail.example.org today", "for [redacted] today"},
		"hostile bytes":        {"\xff\x00 token=\xfe\xff x", "\xff\x00 token=[redacted] x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := scan.Redact(tt.line)
			if got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			if again := scan.Redact(got); again != got {
				t.Errorf("a second time: %q", again)
			}
			if strings.Contains(got, key) {
				t.Error("the key is still there")
			}
		})
	}
}
