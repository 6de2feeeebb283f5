"""The plugin mail: one kind, imap-login."""
import windsock_plugin as windsock
from imap_login import ImapLogin

windsock.serve(
    name="mail",
    version="1.0.0",
    summary="Whether people can get at their mail.",
    homepage="https://github.com/windsock-monitor/windsock/tree/main/plugins/examples/imap-login",
    checks=[ImapLogin],
)
