package config

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/internal/runbook"
)

// The structs of file.go go on here, with what the verbs of the runbook fill in.

type runbookOf struct {
	URL        string      `yaml:"url" jsonschema_description:"Address of your own runbook, to which the name of a page is appended. Absent: the pages that ship with the agent."`
	Service    string      `yaml:"service" jsonschema:"maxLength=100" jsonschema_description:"What people call the application. Absent: the label service."`
	Affected   string      `yaml:"affected" jsonschema:"maxLength=200" jsonschema_description:"What its users notice, for the public message: answers of the assistant."`
	Channel    string      `yaml:"channel" jsonschema:"maxLength=100" jsonschema_description:"Where the team meets in an incident: #incident-mistral."`
	StatusPage string      `yaml:"status_page" jsonschema_description:"Address of your own status page, where the public message goes."`
	Deployment deployment  `yaml:"deployment" jsonschema_description:"How the application is run. Commands are printed with it, and never run."`
	Store      secretStore `yaml:"secret_store" jsonschema_description:"Where the application's key is kept. Commands are printed with it, and never run."`
	KeyInEnv   bool        `yaml:"key_in_environment" jsonschema:"default=false" jsonschema_description:"The application gets the key as an environment variable: a new key needs a restart."`
	Escalation []contact   `yaml:"escalation" jsonschema_description:"Whom to call when nobody has answered for a while, the first first."`
}

func (*runbookOf) reserved() []string { return []string{"pages", "slack", "owner"} }

type deployment struct {
	Kubernetes *kubernetesDeployment `yaml:"kubernetes" jsonschema_description:"A deployment in a cluster."`
	Systemd    *systemdUnit          `yaml:"systemd" jsonschema_description:"A unit on this machine or another."`
}

type kubernetesDeployment struct {
	Deployment string `yaml:"deployment" jsonschema:"required,minLength=1" jsonschema_description:"Its name."`
	Namespace  string `yaml:"namespace" jsonschema_description:"Absent: that of kubectl."`
	Context    string `yaml:"context" jsonschema_description:"Absent: that of kubectl."`
}

type systemdUnit struct {
	Unit string `yaml:"unit" jsonschema:"required,minLength=1" jsonschema_description:"Its name: shop.service."`
}

type secretStore struct {
	GCP        *gcpSecret         `yaml:"gcp" jsonschema_description:"Google Secret Manager."`
	AWS        *awsSecret         `yaml:"aws" jsonschema_description:"AWS Secrets Manager."`
	Kubernetes *kubernetesSecret  `yaml:"kubernetes" jsonschema_description:"A secret of the cluster."`
	Vault      *vaultSecret       `yaml:"vault" jsonschema_description:"HashiCorp Vault, a key-value engine of version 2."`
	Systemd    *systemdCredential `yaml:"systemd" jsonschema_description:"A credential of the unit."`
}

type gcpSecret struct {
	Secret  string `yaml:"secret" jsonschema:"required,minLength=1" jsonschema_description:"Its name."`
	Project string `yaml:"project" jsonschema_description:"Absent: that of gcloud."`
}

type awsSecret struct {
	SecretID string `yaml:"secret_id" jsonschema:"required,minLength=1" jsonschema_description:"Its name or ARN."`
	Region   string `yaml:"region" jsonschema_description:"Absent: that of aws."`
}

type kubernetesSecret struct {
	Secret    string `yaml:"secret" jsonschema:"required,minLength=1" jsonschema_description:"Its name."`
	Key       string `yaml:"key" jsonschema:"required,minLength=1" jsonschema_description:"The key within it."`
	Namespace string `yaml:"namespace" jsonschema_description:"Absent: that of the deployment, else that of kubectl."`
	Context   string `yaml:"context" jsonschema_description:"Absent: that of the deployment, else that of kubectl."`
}

type vaultSecret struct {
	Path    string `yaml:"path" jsonschema:"required,minLength=1" jsonschema_description:"As vault kv takes it: secret/mistral."`
	Field   string `yaml:"field" jsonschema:"required,minLength=1" jsonschema_description:"The field within it."`
	Address string `yaml:"address" jsonschema_description:"Absent: that of vault."`
}

type systemdCredential struct {
	Credential string `yaml:"credential" jsonschema:"required,minLength=1" jsonschema_description:"Its name: mistral-api-key."`
}

type contact struct {
	Severity string        `yaml:"severity" jsonschema:"required,enum=P1,enum=P2,enum=P3,enum=P4" jsonschema_description:"Of which incidents."`
	After    time.Duration `yaml:"after" jsonschema:"required" jsonschema_description:"How long after its beginning."`
	Contact  string        `yaml:"contact" jsonschema:"required,minLength=1,maxLength=200" jsonschema_description:"Who, and how they are reached."`
}

// runbook reads what the verbs of the runbook fill in.
func (b *builder) runbookSetting() {
	given := &b.file.Runbook
	out := runbook.Setting{
		URL: given.URL, Service: cmp.Or(given.Service, b.cfg.Labels["service"]), Affected: given.Affected, Channel: given.Channel,
		StatusPage: given.StatusPage, KeyInEnv: given.KeyInEnv,
		Deployment: runbook.Deployment{Kubernetes: (*runbook.Kubernetes)(given.Deployment.Kubernetes), Systemd: (*runbook.SystemdUnit)(given.Deployment.Systemd)},
	}
	out.Store = b.secretStore(&given.Store, out.Deployment.Kubernetes)
	b.oneOf("runbook.deployment", given.Deployment.Kubernetes != nil, given.Deployment.Systemd != nil)
	b.webAddress("runbook.url", given.URL)
	b.webAddress("runbook.status_page", given.StatusPage)
	if out.URL != "" && !strings.HasSuffix(out.URL, "/") && !strings.HasSuffix(out.URL, "#") {
		out.URL += "/"
	}
	for i, e := range given.Escalation {
		b.atLeast(fmt.Sprintf("runbook.escalation[%d].after", i), e.After, 0)
		out.Escalation = append(out.Escalation, runbook.Escalation(e))
	}
	if len(b.cfg.Providers) > 0 {
		out.API = b.cfg.Providers[0].BaseURL
	}
	b.cfg.Runbook = out
}

func (b *builder) secretStore(s *secretStore, deployed *runbook.Kubernetes) runbook.SecretStore {
	b.oneOf("runbook.secret_store", s.GCP != nil, s.AWS != nil, s.Kubernetes != nil, s.Vault != nil, s.Systemd != nil)
	out := runbook.SecretStore{
		GCP: (*runbook.GCPSecret)(s.GCP), AWS: (*runbook.AWSSecret)(s.AWS), Kubernetes: (*runbook.KubernetesSecret)(s.Kubernetes),
		Vault: (*runbook.VaultSecret)(s.Vault), Systemd: (*runbook.SystemdCredential)(s.Systemd),
	}
	if k := out.Kubernetes; k != nil && deployed != nil {
		k.Namespace, k.Context = cmp.Or(k.Namespace, deployed.Namespace), cmp.Or(k.Context, deployed.Context)
	}
	return out
}

// oneOf refuses a mapping of which more than one key is given.
func (b *builder) oneOf(path string, given ...bool) {
	n := 0
	for _, g := range given {
		if g {
			n++
		}
	}
	if n > 1 {
		b.add(b.at(path), "", "found %d of them, want one", n)
	}
}

// webAddress refuses what is no address of a page.
func (b *builder) webAddress(path, text string) {
	if text == "" {
		return
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		b.add(b.at(path), "", "found %s, want an address: https://wiki.example/runbooks/", quote(maskLine(text)))
	case u.User != nil:
		b.add(b.at(path), "", "credentials do not stand in addresses")
	}
}
