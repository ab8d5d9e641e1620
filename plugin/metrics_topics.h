/* A handful of figures as retained messages below $SYS/broker/guard/, for dashboards that look there. */
#ifndef GUARD_PLUGIN_METRICS_TOPICS_H
#define GUARD_PLUGIN_METRICS_TOPICS_H

struct guard_metrics;
struct guard_metrics_topics;

/* Publishes those that have changed since the last call; *topics is NULL before the first. Broker thread, from TICK. */
void guard_metrics_publish(struct guard_metrics_topics **topics, const struct guard_metrics *metrics);

/* *topics may be NULL. */
void guard_metrics_topics_free(struct guard_metrics_topics **topics);

#endif
