package runbook

import "strconv"

// The files of a change of keys. They lie in the folder where the commands are typed, and end with it.
const (
	newKey   = "mistral-new-key"
	oldKey   = "mistral-old-key"
	keyTrial = "key-trial.yaml"
	keyPatch = "mistral-key-patch.json"
	// emptyFolder is where they lie: in memory, where the system has such a folder.
	emptyFolder = `cd "$(mktemp -d -p "${XDG_RUNTIME_DIR:-/tmp}")"`
	trial       = `{state_dir: ./key-trial, providers: {` +
		`new: {base_url: "https://api.mistral.ai", api_key: {file: ./` + newKey + `}}, ` +
		`old: {base_url: "https://api.mistral.ai", api_key: {file: ./` + oldKey + `}}}, checks: [` +
		`{name: new-key, kind: credentials, provider: new, schedule: "@every 1h"}, ` +
		`{name: old-key, kind: credentials, provider: old, schedule: "@every 1h"}]}`
)

// Rotation is how the key is changed: the new one tried before it is used, the old one seen to be refused, and a restart
// where the application reads its key only when it starts. No command prints a key.
func (s Setting) Rotation() []Command {
	all := []Command{
		{
			"Make a new key in the provider's console, and put it into a file that only you can read: paste it, then Enter and Ctrl-D",
			"(umask 077; trap 'stty echo' EXIT INT; stty -echo; tr -d '[:space:]' >" + newKey + ")", true,
		},
	}
	all = append(all, s.Store.keep()...)
	all = append(all,
		Command{"Say where the two keys are", "printf '%s\\n' '" + trial + "' >" + keyTrial, true},
		Command{"Try both before anything depends on the new one: new-key must be accepted, and old-key too, unless it is refused already; else the file does not hold the key alone, and proves nothing later", "windsock check new-key old-key -c " + keyTrial, false},
	)
	all = append(all, s.Store.put()...)
	if s.restarts() {
		all = append(all, s.Restart()...)
	}
	all = append(
		all,
		Command{"The application works with the new key", "windsock gate --once --app APPLICATION_URL", false},
		Command{"Revoke the old key in the provider's console, give it a minute, and see that it is refused: exit code 3, cause auth, 401", "windsock check old-key -c " + keyTrial, false},
	)
	all = append(all, s.Store.retire()...)
	return append(all, Command{"Remove the files", "rm -rf " + newKey + " " + oldKey + " " + keyTrial + " " + keyPatch + " key-trial", true})
}

// restarts reports whether a new key reaches the application only when that starts anew. Where the team said nothing it may be so.
func (s Setting) restarts() bool {
	return s.KeyInEnv || s.Store.Systemd != nil || s.Store == SecretStore{}
}

// keep writes the key of today to a file.
func (s SecretStore) keep() []Command {
	private := func(line string) []Command {
		return []Command{{"Keep the old key beside it, to see later that it is refused", "(umask 077; " + line + ")", true}}
	}
	switch {
	case s.GCP != nil:
		return private("gcloud secrets versions access latest --secret=" + word(s.GCP.Secret) + flag("project", s.GCP.Project) + " --out-file=" + oldKey)
	case s.AWS != nil:
		return private("aws secretsmanager get-secret-value --secret-id=" + word(s.AWS.SecretID) + flag("region", s.AWS.Region) +
			" --query=SecretString --output=text >" + oldKey)
	case s.Kubernetes != nil:
		k := s.Kubernetes
		return private(kubectl(k.Context, k.Namespace) + " get secret " + word(k.Secret) + " -o " +
			word("go-template={{index .data "+strconv.Quote(k.Key)+" | base64decode}}") + " >" + oldKey)
	case s.Vault != nil:
		v := s.Vault
		return private("vault kv get" + v.flag() + " -field=" + word(v.Field) + " " + word(v.Path) + " >" + oldKey)
	case s.Systemd != nil:
		name := s.Systemd.Credential
		return private("systemd-creds decrypt --name=" + word(name) + " " + word("/etc/credstore.encrypted/"+name) + " " + oldKey)
	}
	return private("cat PATH_OF_THE_KEY >" + oldKey)
}

// put writes the new key to the store.
func (s SecretStore) put() []Command {
	switch {
	case s.GCP != nil:
		return []Command{{"Put the new key into the store, as a new version", "gcloud secrets versions add " + word(s.GCP.Secret) + flag("project", s.GCP.Project) + " --data-file=" + newKey, true}}
	case s.AWS != nil:
		return []Command{{
			"Put the new key into the store, as a new version (a secret that holds JSON wants the whole of it in the file)",
			"aws secretsmanager put-secret-value --secret-id=" + word(s.AWS.SecretID) + flag("region", s.AWS.Region) + " --secret-string=file://" + newKey, true,
		}}
	case s.Kubernetes != nil:
		k := s.Kubernetes
		return []Command{
			{
				"Write down for kubectl what is new, in a file that only you can read",
				`(umask 077; printf '{"data":{"%s":"%s"}}' ` + word(k.Key) + ` "$(base64 <` + newKey + ` | tr -d '\n')" >` + keyPatch + ")", true,
			},
			{
				"Put the new key into the store: its other keys, labels and annotations stay as they are",
				kubectl(k.Context, k.Namespace) + " patch secret " + word(k.Secret) + " --patch-file=" + keyPatch, true,
			},
		}
	case s.Vault != nil:
		v := s.Vault
		return []Command{{
			"Put the new key into the store, as a new version (patch leaves the other fields as they are; `vault kv put` would drop them)",
			"vault kv patch" + v.flag() + " " + word(v.Path) + " " + word(v.Field+"=@"+newKey), true,
		}}
	case s.Systemd != nil:
		name := s.Systemd.Credential
		return []Command{{
			"Encrypt the new key for this machine, as root (without encryption: install -m 0600 " + newKey + " " + word("/etc/credstore/"+name) + ")",
			"systemd-creds encrypt --name=" + word(name) + " " + newKey + " " + word("/etc/credstore.encrypted/"+name), true,
		}}
	}
	return []Command{{"Put the new key where the application reads it; owner and mode of the file stay", "cp " + newKey + " PATH_OF_THE_KEY", true}}
}

// retire is what is left to do in the store when the old key is refused.
func (s SecretStore) retire() []Command {
	switch {
	case s.GCP != nil:
		of := word(s.GCP.Secret) + flag("project", s.GCP.Project)
		return []Command{
			{"Which version was the old one?", "gcloud secrets versions list " + of, false},
			{"Disable it", "gcloud secrets versions disable OLD_VERSION --secret=" + of, true},
		}
	case s.AWS != nil:
		of := " --secret-id=" + word(s.AWS.SecretID) + flag("region", s.AWS.Region)
		return []Command{
			{"Which version was the old one?", "aws secretsmanager list-secret-version-ids" + of, false},
			{"Give it up", "aws secretsmanager update-secret-version-stage" + of + " --version-stage=AWSPREVIOUS --remove-from-version-id=OLD_VERSION_ID", true},
		}
	case s.Vault != nil:
		with := s.Vault.flag()
		return []Command{
			{"Which version was the old one?", "vault kv metadata get" + with + " " + word(s.Vault.Path), false},
			{"Destroy it", "vault kv destroy" + with + " -versions=OLD_VERSION " + word(s.Vault.Path), true},
		}
	}
	return nil
}

// Rollback is how the version before comes back, and how one sees that it did.
func (s Setting) Rollback() []Command {
	verify := Command{"See that it is well: health, smoke test, errors before and after", "windsock gate --once --app APPLICATION_URL", false}
	if u := s.Deployment.Systemd; u != nil {
		return []Command{
			{"Since when does it run?", "systemctl show --property=ActiveEnterTimestamp -- " + word(u.Unit), false},
			{"Which versions are there? (of a Debian package; else where your releases are)", "apt-cache madison PACKAGE", false},
			{"Install the version before", "apt-get install --allow-downgrades PACKAGE=VERSION_BEFORE", true},
			{"Restart it", "systemctl restart -- " + word(u.Unit), true},
			verify,
		}
	}
	with, name := s.deployment()
	return []Command{
		{"Which revisions are there, and what changed?", with + " rollout history " + name, false},
		{"Go back to the revision before (a paused rollout refuses: resume it first)", with + " rollout undo " + name, true},
		{"Wait until it is back", with + " rollout status " + name + " --timeout=5m", false},
		verify,
	}
}

// Restart is how the application starts anew, with the version that it has.
func (s Setting) Restart() []Command {
	if u := s.Deployment.Systemd; u != nil {
		return []Command{
			{"Restart the application", "systemctl restart -- " + word(u.Unit), true},
			{"See that it runs", "systemctl status --no-pager --lines=0 -- " + word(u.Unit), false},
		}
	}
	with, name := s.deployment()
	return []Command{
		{"Restart the application, one pod after the other", with + " rollout restart " + name, true},
		{"Wait until all of them are new", with + " rollout status " + name + " --timeout=5m", false},
	}
}

// Resume is how a rollout that was held goes on. A unit of systemd has none that could be held, and so no commands.
func (s Setting) Resume() []Command {
	if s.Deployment.Systemd != nil {
		return nil
	}
	with, name := s.deployment()
	return []Command{
		{"Let a rollout that was held go on, where all is well", with + " rollout resume " + name, true},
		{"Wait until it is through", with + " rollout status " + name + " --timeout=5m", false},
	}
}

// hold is the mitigation that stops a rollout where it is; nothing for a unit of systemd.
func (s Setting) hold() []Mitigation {
	if s.Deployment.Systemd != nil {
		return nil
	}
	with, name := s.deployment()
	return []Mitigation{{
		What:    "Hold a rollout that is under way, so that it reaches nobody else",
		Command: with + " rollout pause " + name, Revert: with + " rollout resume " + name, Expires: hour,
	}}
}

// back is the mitigation that brings back the version before.
func (s Setting) back() Mitigation {
	if u := s.Deployment.Systemd; u != nil {
		return Mitigation{
			What:    "Go back to the version before, where a deploy went before the trouble (rollback.md)",
			Command: "apt-get install --allow-downgrades PACKAGE=VERSION_BEFORE && systemctl restart -- " + word(u.Unit),
			Revert:  "apt-get install PACKAGE=VERSION_OF_TODAY && systemctl restart -- " + word(u.Unit), Expires: day,
		}
	}
	with, name := s.deployment()
	return Mitigation{
		What:    "Go back to the revision before, where a deploy went before the trouble (rollback.md)",
		Command: with + " rollout undo " + name, Revert: with + " rollout undo " + name + " --to-revision=REVISION_OF_TODAY", Expires: day,
	}
}

// lately is how one sees what was deployed last.
func (s Setting) lately() Command {
	return s.Rollback()[0]
}

// logs is how one reads what the application said last. What stands in a log is the application's doing: it may hold anything.
func (s Setting) logs() Command {
	if u := s.Deployment.Systemd; u != nil {
		return Command{"What does the application say?", "journalctl --no-pager --since=-15min --unit=" + word(u.Unit), false}
	}
	with, name := s.deployment()
	return Command{"What does the application say?", with + " logs " + name + " --since=15m --tail=200", false}
}

// deployment is kubectl with its options, and the name of the deployment.
func (s Setting) deployment() (with, name string) {
	k := s.Deployment.Kubernetes
	if k == nil {
		return kubectl("", "") + " --namespace=NAMESPACE", "deployment/DEPLOYMENT"
	}
	return kubectl(k.Context, k.Namespace), word("deployment/" + k.Deployment)
}

func kubectl(context, namespace string) string {
	return "kubectl" + flag("context", context) + flag("namespace", namespace)
}

// flag is where the vault is, for vault, whose options have one dash.
func (v *VaultSecret) flag() string {
	if v.Address == "" {
		return ""
	}
	return " -address=" + word(v.Address)
}
