# One image for all services: the command says which one runs.
FROM node:24-bookworm-slim AS dependencies
WORKDIR /exchange
COPY package.json package-lock.json .npmrc ./
# Without the pinned Node, which the image has already.
RUN npm ci --omit=dev && rm -rf node_modules/node-linux-* node_modules/node-bin-*

FROM node:24-bookworm-slim
ENV NODE_ENV=production
WORKDIR /exchange
COPY package.json ./
COPY --from=dependencies /exchange/node_modules node_modules
COPY migrations migrations
COPY launcher launcher
COPY mesh mesh
COPY gateway gateway
COPY services services
COPY exchange exchange
# What the services keep besides the servers: snapshots and the archive. A new volume is made like this folder.
RUN mkdir /data && chown node:node /data
USER node
CMD ["node", "launcher/container.ts", "gateway/main.ts"]
