// Package runbook holds what people do when something is wrong: a page for each branch of the decision tree, with its
// actions, commands and mitigations, filled in with what the team said of itself. It runs nothing and asks nobody.
package runbook

import "time"

// Setting is what a team says of itself in the file's `runbook`. Its zero value has commands with placeholders in them.
type Setting struct {
	API         string // where the provider is asked; "" is its global address
	Application string // where the application says how it is; "" is not known
	URL         string // of the team's own pages, "" for those that ship; ends in / or #
	Service     string // what people call it: "checkout"
	Affected    string // what its users notice, for the public message: "answers of the assistant"
	Channel     string // where the team meets: "#incident-mistral"
	StatusPage  string // where the public message goes
	Deployment  Deployment
	Store       SecretStore
	KeyInEnv    bool // the application gets the key as an environment variable: a new key needs a restart
	Escalation  []Escalation
}

// Deployment is how the application is run: one of the fields is given, or none.
type Deployment struct {
	Kubernetes *Kubernetes
	Systemd    *SystemdUnit
}

// Kubernetes is a deployment in a cluster.
type Kubernetes struct{ Deployment, Namespace, Context string } // Namespace and Context may be ""

// SystemdUnit is an application as a unit of systemd.
type SystemdUnit struct{ Unit string }

// SecretStore is where the application's key is kept: one of the fields is given, or none.
type SecretStore struct {
	GCP        *GCPSecret
	AWS        *AWSSecret
	Kubernetes *KubernetesSecret
	Vault      *VaultSecret
	Systemd    *SystemdCredential
}

// GCPSecret is a secret of Google Secret Manager.
type GCPSecret struct{ Secret, Project string } // Project may be ""

// AWSSecret is a secret of AWS Secrets Manager.
type AWSSecret struct{ SecretID, Region string } // Region may be ""

// KubernetesSecret is a secret of a cluster.
type KubernetesSecret struct{ Secret, Key, Namespace, Context string } // Namespace and Context may be ""

// VaultSecret is a secret of a key-value engine, version 2.
type VaultSecret struct{ Path, Field, Address string } // Path as `vault kv` takes it: secret/mistral; Address may be ""

// SystemdCredential is a credential of a unit.
type SystemdCredential struct{ Credential string }

// Escalation is whom to call when nobody has answered for a while.
type Escalation struct {
	Severity string // P1 to P4
	After    time.Duration
	Contact  string
}
