package scan

import (
	"strings"
)

const apiKey = "API key"

// kindOf is the kind of credential that a name is given to, or "": mistralApiKey, MISTRAL_API_KEY and x-api-key are "API key".
func kindOf(name string) string {
	words := wordsOf(name)
	for len(words) > 0 && suffix(words[len(words)-1]) {
		words = words[:len(words)-1]
	}
	if len(words) == 0 {
		return ""
	}
	last, before := words[len(words)-1], ""
	if len(words) > 1 {
		before = words[len(words)-2]
	}
	switch last {
	case "apikey", "appkey", "apikeys":
		return apiKey
	case "secretkey", "accesskey", "privatekey", "authkey":
		return "secret key"
	case "key", "keys":
		return kindOfKey(before)
	case "token", "authtoken", "accesstoken", "pat":
		if last == "pat" && before == "" || before != "" && strings.Contains(" page next cursor continuation cancellation sync csrf xsrf stop eos bos pad unk mask sep cls max min num device push id registration invalidation resume ", " "+before+" ") {
			return ""
		}
		return "token"
	case "secret", "secrets", "clientsecret":
		return "secret"
	case "data":
		if before == "secret" { // of Terraform's Google Cloud
			return "secret"
		}
	case "authorization", "bearer":
		return "token"
	case "credential", "credentials":
		return "secret"
	}
	return kindOfPassword(last)
}

func kindOfKey(before string) string {
	switch before {
	case "api", "app", "mistral", "openai", "anthropic", "datadog", "dd", "integration", "routing", "subscription", "service", "account", "admin", "fallback":
		return apiKey
	case "secret", "access", "private", "auth", "signing", "encryption", "master", "license", "session", "jwt", "hmac":
		return "secret key"
	}
	return ""
}

func kindOfPassword(last string) string {
	switch last {
	case "password", "passwd", "passphrase", "pwd", "pass":
		return "password"
	}
	return ""
}

// mistralCall is a name that says whose key may be given to it: a client, a constructor. Names of other things do not count.
func mistralCall(name string) bool {
	if !strings.Contains(strings.ToLower(name), "mistral") {
		return false
	}
	words := wordsOf(name)
	switch words[len(words)-1] {
	case "id", "hash", "version", "name", "model", "url", "uri", "ref", "etag", "nonce", "digest", "checksum", "path", "file":
		return false
	}
	return true
}

// suffix says whether a word after a credential's name leaves it one: API_KEY_PROD, apiKey2, token_value.
func suffix(word string) bool {
	if strings.Trim(word, "0123456789") == "" {
		return true
	}
	switch word {
	case "prod", "production", "staging", "stage", "dev", "development", "live", "primary", "secondary", "fallback", "backup", "old", "new",
		"default", "value", "plain", "raw", "str", "string", "main", "eu", "us", "local", "a", "b", "v":
		return true
	}
	return false
}

// wordsOf cuts a name into its words, in small letters: at separators, and where a capital begins one.
func wordsOf(name string) []string {
	var words []string
	begin := -1
	flush := func(end int) {
		if begin >= 0 && end > begin {
			words = append(words, strings.ToLower(name[begin:end]))
		}
		begin = -1
	}
	for i := range len(name) {
		c := classOf(name[i])
		if c == '+' {
			flush(i)
			continue
		}
		if begin >= 0 && boundary(name, i) {
			flush(i)
		}
		if begin < 0 {
			begin = i
		}
	}
	flush(len(name))
	return words
}

// boundary says whether a word begins at i, in the midst of letters: keyOf, APIKey.
func boundary(name string, i int) bool {
	c, before := classOf(name[i]), classOf(name[i-1])
	switch {
	case c == 'A' && before != 'A':
		return true
	case c == '0' && before != '0':
		return true
	case c != '0' && before == '0':
		return true
	}
	return c == 'A' && before == 'A' && i+1 < len(name) && classOf(name[i+1]) == 'a'
}
