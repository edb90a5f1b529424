# Caddy as a user that is not root, on a port that needs no capability.
FROM caddy:2.11.7-alpine

# the image's binary carries a file capability and does not start where all are dropped; a copy has none
RUN cp /usr/bin/caddy /usr/local/bin/caddy \
 && mkdir -p /caddy/data /caddy/config \
 && chown -R 10002:10002 /caddy
USER 10002:10002
ENV XDG_DATA_HOME=/caddy/data XDG_CONFIG_HOME=/caddy/config
CMD ["/usr/local/bin/caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
