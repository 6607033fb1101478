"""What the system tests are made of: namespaces, daemons, traffic and a clock to wait by.

Everything needs root in a private network (scripts/lab provides it) and only the standard library.

net      namespaces, links and addresses of one test, and their end
daemon   the daemon under test, "theirs" (keepalived) or "ours" (lbagent), and HAProxy
traffic  small servers and clients that live in a namespace and count what they saw
chain    the network of the articles: client, router, two directors, two proxies, two web servers
wire     captures, and what tshark thinks of them
cases    how a test is declared, and how a run of them is reported
"""
