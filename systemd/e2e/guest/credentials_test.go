//go:build e2e

package guest_test

import (
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
)

// TestTheKeysFileIsExchanged under the running agent, as a rotation does: no slot is lost and no run fails.
func TestTheKeysFileIsExchanged(t *testing.T) {
	w := installed(t, newPackage)
	w.start()
	pid := w.pid()
	w.keys("accept", secondKey)
	w.key(keyFile, secondKey)
	w.keys("revoke", firstKey)
	w.sixMore()
	if got := w.pid(); got != pid {
		t.Errorf("the process is %d, want %d", got, pid)
	}
	w.run("systemctl", "stop", unit)
	if missed := w.wellAllAlong(); missed > 0 {
		t.Errorf("%d slots were missed", missed)
	}
	w.noKeys()
}

// sixMore waits for six more records, three of each check.
func (w *world) sixMore() {
	w.t.Helper()
	before := w.sink.Events()
	w.until("six more records", func() bool { return w.sink.Events() > before+6 })
}

// wellAllAlong wants no run to have failed, and returns how many slots were missed.
func (w *world) wellAllAlong() (missed int) {
	w.t.Helper()
	records := w.stored()
	w.delivered(records)
	for _, check := range []string{"models", "chat"} {
		for _, r := range of(records, check) {
			if r.Status != checks.OK && r.Status != checks.Skipped {
				w.t.Errorf("%s at %s is %s: %s %s", check, r.ScheduledAt, r.Status, r.Cause, r.Summary)
			}
		}
		missed += w.tiled(records, check)
	}
	return missed
}

// noKeys wants neither key in the journal or in the state directory.
func (w *world) noKeys() {
	w.t.Helper()
	for _, key := range []string{firstKey, secondKey} {
		if out, code := w.try("grep", "-rl", key, stateDir); code == 0 {
			w.t.Errorf("a key is in %s", out)
		}
		if out, code := w.try("sh", "-c", "journalctl -q -o export | grep -c "+key); code == 0 {
			w.t.Errorf("a key is in the journal, %s times", strings.TrimSpace(out))
		}
	}
}

const credential = "{credential: mistral-api-key}"

// useDropIn enables a drop-in as the documents say.
func (w *world) useDropIn(name string) {
	w.t.Helper()
	w.run("install", "-D", "-m", "0644", "/usr/share/windsock/drop-ins/"+name, "-t", "/etc/systemd/system/windsock.service.d/")
	w.run("systemctl", "daemon-reload")
}

// TestACredentialIsExchangedByRestart: no slot is lost beyond those that were due while no process ran.
func TestACredentialIsExchangedByRestart(t *testing.T) {
	w := installed(t, newPackage)
	w.run("rm", keyFile)
	w.write(config, setup{key: credential}.text())
	w.useDropIn("credential.conf")
	w.run("install", "-d", "-m", "0700", "/etc/credstore")
	w.sh("(umask 077 && echo " + firstKey + " > /etc/credstore/mistral-api-key)")
	w.start()
	w.keys("accept", secondKey)
	w.sh("(umask 077 && echo " + secondKey + " > /etc/credstore/mistral-api-key)")
	w.more() // with the first: a running service keeps what it was given
	w.run("systemctl", "restart", unit)
	w.keys("revoke", firstKey)
	w.sixMore()
	w.run("systemctl", "stop", unit)
	if missed := w.wellAllAlong(); missed > 4 { // two checks, and a restart below two seconds
		t.Errorf("%d slots were missed", missed)
	}
	w.noKeys()
}

// TestACredentialThatIsNotThere keeps the unit from starting, which is why it is a drop-in.
func TestACredentialThatIsNotThere(t *testing.T) {
	w := installed(t, newPackage)
	w.write(config, setup{key: credential}.text())
	w.useDropIn("credential.conf")
	if _, code := w.try("systemctl", "start", unit); code == 0 {
		t.Error("systemctl start ended well")
	}
	w.want(map[string]string{"ExecMainStatus": "243"})
	if lines := w.tells(`status=243/CREDENTIALS`); len(lines) == 0 {
		t.Errorf("systemd does not say 243/CREDENTIALS: %q", w.journal())
	}
	w.run("install", "-d", "-m", "0700", "/etc/credstore")
	w.sh("(umask 077 && echo " + firstKey + " > /etc/credstore/mistral-api-key)")
	w.until("systemd to have started it", func() bool { return w.property("ActiveState") == "active" })
	w.more()
}

// TestAnEncryptedCredential is made by systemd-creds with the host's key and read as any other. Where systemd is too old the
// drop-in is of no effect, and does no harm.
func TestAnEncryptedCredential(t *testing.T) {
	w := installed(t, newPackage)
	if w.systemdVersion() < since()["LoadCredentialEncrypted"] {
		w.write(config, plain())
		w.useDropIn("encrypted-credential.conf")
		w.start()
		w.wellAllAlong()
		return
	}
	w.run("rm", keyFile)
	w.write(config, setup{key: credential}.text())
	w.run("install", "-d", "-m", "0700", "/etc/credstore.encrypted")
	w.sh("printf %s " + firstKey + " | systemd-creds encrypt --with-key=host --name=mistral-api-key - /etc/credstore.encrypted/mistral-api-key")
	if text := w.read("/etc/credstore.encrypted/mistral-api-key"); strings.Contains(text, firstKey) {
		t.Fatal("the credential is not encrypted")
	}
	w.useDropIn("encrypted-credential.conf")
	w.start()
	w.sixMore()
	w.run("systemctl", "stop", unit)
	w.wellAllAlong()
	w.noKeys()
}
