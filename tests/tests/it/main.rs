//! Scenarios: the real handlers on embedded services, driven by a clock that jumps.

mod api;
mod api_access;
mod api_activities;
mod api_bulk;
mod api_channels;
mod api_companies;
mod api_conventions;
mod api_events;
mod api_lists;
mod api_openapi;
mod api_outages;
mod api_reminders;
mod api_solutions;
mod api_types;
mod channel_providers;
mod channel_results;
mod channel_secrets;
mod channels;
mod crashes;
mod delivery;
mod reminder_crashes;
mod reminder_life;
mod reminders;
mod sweeping;
