//! The scenarios: one file per theme, one function per scenario, every one in every lane.

pub mod admin;
pub mod after_writes;
pub mod ahead;
pub mod balancing;
pub mod broken;
pub mod cancel;
pub mod commands;
pub mod copy;
pub mod crowd;
pub mod demotion;
pub mod disorder;
pub mod extended;
pub mod failover;
pub mod failures;
pub mod fences;
pub mod health;
pub mod hostile;
pub mod interrupted;
pub mod limits;
pub mod load;
pub mod login;
pub mod operate;
pub mod pool;
pub mod recovery;
pub mod recovery_command;
pub mod repeats;
pub mod resets;
pub mod restarts;
pub mod retry;
pub mod routing;
pub mod session;
pub mod shards;
pub mod show;
pub mod spread;
pub mod statements;
pub mod statements_table;
pub mod suspension;
pub mod switchover;
pub mod synchronous;
pub mod transaction;

use std::any::Any;

use crate::play::Play;
use crate::world::{Setup, World};

/// A scenario, ready to be played in a world.
#[derive(Debug)]
pub struct Scenario<W> {
    /// Its name, which is that of its function.
    pub name: &'static str,
    /// What its world begins with.
    pub setup: fn() -> Setup,
    /// What happens.
    pub play: fn(&mut W),
}

impl<W: World> Scenario<W> {
    /// Lets it happen in a world that was made from [`Scenario::setup`].
    pub fn run(&self, world: &mut W) {
        world.settle();
        (self.play)(world);
    }
}

/// What a panic said.
#[must_use]
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words").into()
}

/// Derives the seeds of a scenario from its name, so that they are its own and always the same
/// (the hash is FNV-1a, the mixing of the index splitmix64's).
#[must_use]
pub fn seed_of(name: &str, index: u64) -> u64 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut seed = hash.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    // Short enough to be typed.
    (seed ^ (seed >> 31)) & 0xffff_ffff
}

/// Lists scenarios: `theme { name, name with setup, … }`.
macro_rules! scenarios {
    ($($theme:ident { $($name:ident $(with $setup:ident)?),* $(,)? })*) => {
        /// All scenarios, for whichever world a lane plays them in.
        #[must_use]
        pub fn all<W: World>() -> Vec<Scenario<W>> {
            vec![$($(Scenario {
                name: stringify!($name),
                setup: scenarios!(@setup $theme $($setup)?),
                play: $theme::$name,
            }),*),*]
        }
    };
    (@setup $theme:ident) => { Setup::default };
    (@setup $theme:ident $setup:ident) => { $theme::$setup };
}

scenarios! {
    routing {
        reads_are_spread_by_weight with spread,
        a_node_of_weight_zero_serves_no_reads with primary_only,
        writes_go_to_the_primary_and_reads_to_a_standby with standby_only,
        nothing_that_writes_reaches_a_standby with standby_only,
        a_transaction_stays_on_the_primary with standby_only,
        a_read_only_transaction_leaves_the_primary with standby_only,
        a_write_in_a_read_only_transaction_is_refused with standby_only,
        a_standby_that_lags_serves_no_reads with standby_in_time,
    }
    session {
        settings_hold_on_both_servers_of_a_session with standby_only,
        settings_given_at_login_hold_on_both_servers with standby_only,
        a_setting_rolled_back_holds_nowhere with standby_only,
        a_temporary_table_stays_visible_to_its_session with standby_only,
        prepared_statements_work_in_and_out_of_transactions with standby_only,
        statements_prepared_by_sql_work_everywhere with standby_only,
        a_cursor_lives_as_long_as_its_transaction with standby_only,
        changes_of_parameters_are_told,
        notices_pass_through,
        notifications_reach_whoever_listens,
    }
    statements {
        several_statements_in_one_query,
        an_error_among_several_statements,
        an_empty_query,
        queries_sent_ahead_are_answered_in_order,
        savepoints_survive_an_error,
        a_failed_transaction_stays_failed_until_rolled_back,
        a_function_call,
        a_long_statement_passes,
    }
    ahead {
        a_setting_sent_ahead_of_a_statement_holds with standby_only,
        copy_data_sent_ahead_arrives,
        a_long_burst_is_answered_to_its_end,
        a_statement_closed_ahead_of_a_commit with standby_only,
        a_transaction_lost_at_its_beginning_stays_failed,
    }
    extended {
        a_statement_by_the_extended_protocol with primary_only,
        an_error_in_the_middle_of_a_pipeline,
        a_pipeline_of_many_statements,
        a_pipeline_that_reads_and_writes with standby_only,
        flush_brings_answers_without_sync,
        rows_come_a_few_at_a_time,
        closed_statements_are_gone,
        an_error_skips_everything_until_sync,
        batches_sent_together_find_their_statement with standby_only,
    }
    copy {
        a_large_copy_out_passes_in_little_memory with primary_only,
        a_large_copy_in_passes_in_little_memory,
        a_client_that_never_reads_harms_nobody with primary_only,
        a_row_larger_than_every_buffer,
        a_copy_that_the_client_gives_up with primary_only,
        a_copy_that_the_server_refuses_half_way with primary_only,
        a_client_that_dies_in_a_copy with one_connection,
    }
    cancel {
        a_cancel_reaches_its_session_and_no_other,
        cancels_under_load_reach_whom_they_name,
        a_cancel_with_a_wrong_key_does_nothing,
        a_late_cancel_does_not_hit_the_next_client with one_connection,
    }
    pool {
        a_connection_is_used_again with one_connection,
        nothing_of_a_client_is_left_for_the_next with one_connection,
        clients_wait_in_line with one_connection,
        waiting_in_line_ends_with_a_clear_error with short_wait,
        a_client_that_dies_in_a_transaction with one_connection,
        a_client_that_dies_in_a_pipeline with one_connection,
        a_client_that_dies_in_line with one_connection,
        clients_that_open_and_reset_leave_nothing with small_pool,
    }
    retry {
        a_refused_query_goes_to_the_primary with standby_only,
        a_refused_batch_goes_to_the_primary with shared,
        refused_queries_sent_ahead_are_answered_in_order with standby_only,
        an_error_is_not_repeated with standby_only,
    }
    transaction {
        many_clients_share_one_connection with one_shared,
        settings_follow_their_session with one_shared,
        a_setting_that_cannot_be_repeated_stops_its_statement with one_shared,
        settings_in_a_transaction_hold_if_it_commits with one_shared,
        clients_of_different_libraries_share_connections with one_shared,
        prepared_statements_follow_their_session with one_shared,
        unnamed_statements_follow_their_session with one_shared,
        listening_pins with few_shared,
        a_temporary_table_pins with few_shared,
        a_temporary_table_of_a_transaction_pins with few_shared,
        a_held_cursor_pins with few_shared,
        an_advisory_lock_pins with few_shared,
        sql_prepare_pins with few_shared,
        discard_all_unpins with few_shared,
        what_is_rolled_back_pins_nobody with few_shared,
        a_role_of_every_login_pins_nobody with few_shared_by_one,
        statement_mode_has_no_transactions with statement_mode,
        both_connections_are_given_back with shared_standby,
        clients_that_keep_silent_at_their_login_hold_nothing with one_shared,
        a_client_that_leaves_while_its_settings_are_repeated with one_shared,
    }
    broken {
        a_statement_closed_in_its_own_batch_is_gone with one_shared,
        a_name_is_used_twice_in_one_batch with one_shared,
        a_close_that_is_skipped_closes_nothing with one_shared,
        an_unnamed_statement_that_is_skipped_replaces_nothing with one_shared,
        an_unnamed_statement_outlives_a_question with standby_only,
        an_unnamed_statement_is_nobody_elses_behind_a_failed_batch with one_shared,
        a_reset_in_a_transaction_takes_effect_at_once with one_shared,
        a_reset_is_told_with_what_holds with one_shared,
        a_reset_to_what_cannot_be_repeated_stops_what_is_behind with one_shared,
        a_batch_behind_a_failed_one_finds_its_statement with one_shared,
        a_long_statement_is_nobody_elses with one_shared,
        deallocate_of_a_statement_of_the_protocol with one_shared,
        deallocate_all_beside_another_harms_nobody with one_shared,
        discard_all_by_name_harms_nobody with one_shared,
        a_commit_behind_a_comment_commits_settings with one_shared,
        a_set_behind_a_comment_sets with one_shared,
        a_default_is_what_was_asked_for_at_login with one_shared,
        a_login_with_an_invalid_parameter_fails with one_shared,
        what_comes_behind_a_flush_pins with few_shared,
        a_setting_behind_a_flush_is_its_sessions with few_shared,
        a_setting_by_name_in_a_longer_batch with few_shared,
        a_setting_by_a_name_that_is_being_prepared with few_shared,
        a_followed_setting_set_in_another_way with few_shared,
        a_setting_of_login_set_in_another_way with few_shared,
        a_setting_of_a_transaction_that_pgherd_ends with few_shared,
        a_question_takes_no_setting_away with few_shared,
        a_refused_batch_runs_its_own_unnamed_statement with shared,
        a_refused_batch_that_closes_its_statement with shared,
        a_refused_batch_before_a_query with shared,
        a_name_given_anew_means_the_new_text with standby_only,
    }
    repeats {
        a_reset_to_the_servers_default_is_told with one_shared,
        a_reset_that_is_made_good_later_is_told with one_shared,
        a_parameter_of_login_that_cannot_be_repeated with one_shared,
        a_failed_way_out_leaves_the_trouble with one_shared,
    }
    limits {
        a_user_at_its_limit_waits_alone with two_a_user,
        a_database_at_its_limit_makes_room with two_a_database,
        users_share_a_full_server_in_order with one_in_all,
        the_reserve_is_for_those_who_wait with reserve,
        a_full_line_is_told_with_its_figures with short_line,
        connections_are_kept_ready with kept_ready,
        an_old_connection_is_replaced with short_lived,
        a_lowered_limit_closes_what_is_idle with in_one_thread,
    }
    shards {
        one_thread_may_have_every_connection with four_for_two,
        a_thread_without_connections_has_its_turn with one_for_two,
        more_threads_than_connections with two_for_four,
        a_limit_changes_while_it_is_lent with four_for_two,
    }
    spread {
        a_client_goes_to_the_thread_with_the_fewest with four_threads,
        a_crowd_is_spread_over_all_threads with four_threads,
        client_max_is_kept_across_threads with ten_for_four,
        client_max_is_kept_in_one_thread with ten_for_one,
        another_client_max_takes_effect with ten_for_four,
    }
    load {
        a_storm_of_logins_and_queries with twenty_shared,
        small_answers_pass_beside_large_ones with one_thread,
    }
    failover {
        the_primary_dies_and_a_standby_takes_its_place with promote,
        sessions_outlive_a_failover with promote,
        a_transaction_in_flight_fails_and_its_session_goes_on with promote,
        a_write_waits_for_the_next_primary with promote_shared,
        reads_go_on_while_there_is_no_primary with promote,
        a_primary_that_hangs_is_replaced with promote,
        the_standby_with_the_most_wal_is_promoted with promote,
        what_is_received_and_not_replayed_is_not_lost with promote,
        beyond_the_budget_nobody_is_promoted with lose_nothing,
        a_primary_that_is_back_at_once_stays with promote,
        a_primary_that_comes_back_late_serves_again_as_a_standby with promote,
        without_standbys_the_primary_is_waited_for with promote,
        a_standby_that_comes_back_is_promoted with promote,
        the_heir_dies_too with promote,
        one_failover_after_another with promote,
        two_primaries_die with promote,
        a_primary_that_others_promote_is_found with leave_it,
        an_old_primary_is_not_the_next_one with leave_it,
        a_reload_calls_a_failover_off with promote,
        what_was_acknowledged_is_there_after_a_failover with promote_shared,
    }
    synchronous {
        the_standby_that_confirms_commits_takes_over with confirmed,
        nobody_takes_over_while_the_one_that_confirms_is_silent with confirmed,
        a_commit_that_waits_for_a_standby_is_in_doubt with confirmed,
        what_any_standby_confirmed_outlives_its_primaries with confirmed,
    }
    switchover {
        a_switchover_costs_nobody_an_error with promote_shared,
        sessions_with_connections_of_their_own_move_too with promote,
        a_switchover_waits_for_what_is_running with promote,
        those_who_waited_are_served_in_their_order with one_for_all,
        reads_go_on_during_a_switchover with standbys_read,
        a_transaction_that_does_not_end_undoes_a_switchover with brief,
        what_only_a_connection_has_undoes_a_switchover with brief,
        an_heir_that_does_not_replay_undoes_a_switchover with brief,
        an_heir_that_dies_undoes_a_switchover with brief,
        the_primary_dies_before_it_hands_over with brief,
        a_wait_for_a_switchover_is_no_wait_for_a_primary with impatient,
        reads_wait_for_the_only_node_that_leaves with alone,
        a_standby_that_is_unfit_is_refused with promote,
        there_and_back_again with promote,
        a_switchover_is_asked_for_where_others_promote with leave_it,
        the_operator_promotes_while_there_is_no_primary with leave_it,
        a_reload_that_removes_the_heir_undoes_a_switchover with brief,
        whoever_asked_leaves_and_the_switchover_goes_on with promote,
        a_standby_ends_what_it_is_at_before_it_leaves with one_reads,
        a_primary_ends_what_it_is_at_before_it_leaves with promote,
    }
    fences {
        a_standby_with_a_fence_is_promoted with only_the_first,
        a_fence_on_a_standby_is_lifted with promote,
        a_primary_that_others_have_fenced_is_replaced with promote,
        a_primary_that_was_fenced_before_the_start_is_replaced with promote,
        a_fence_beside_a_later_primary_stays with two,
    }
    recovery {
        a_lost_node_is_recovered with recovering,
        what_cannot_be_recovered_is_refused with recovering,
        a_plan_is_told with recovering,
        a_failed_copy_leaves_the_node_out with recovering,
        a_node_that_is_not_started_stays_out with impatient,
        a_node_that_follows_nobody_stays_out with impatient,
        a_copy_that_hangs_is_given_up with hasty,
        a_second_recovery_is_refused with recovering,
        an_asker_that_leaves_is_not_missed with recovering,
        a_primary_dies_while_it_is_copied with recovering,
        a_shutdown_ends_a_recovery with recovering,
    }
    recovery_command {
        a_lost_node_is_recovered_by_a_command with by_command,
        a_node_is_recovered_without_a_slot with without_slots,
        the_plan_of_a_command_is_told with by_command,
        a_command_that_fails_leaves_the_node_out with failing,
        a_recovery_whose_command_hangs_is_given_up with hanging,
        a_command_that_lies_is_found_out with lying,
        a_command_that_starts_a_node_alone with seceding,
    }
    demotion {
        an_old_primary_is_demoted_after_a_switchover with by_command,
        a_primary_that_returns_as_a_second_one_is_demoted with by_command,
        without_auto_recovery_an_old_primary_is_left with by_hand,
        a_second_primary_may_be_left_as_it_is with tolerant,
        a_node_that_the_operator_detached_is_not_demoted with by_command,
        a_switchover_during_a_recovery_is_refused with by_command,
    }
    interrupted {
        pgherd_is_killed_at_every_step_of_a_recovery with by_command,
        pgherd_is_restarted_at_every_step_of_a_recovery with by_command,
        the_primary_dies_at_every_step_of_a_recovery with by_command,
        the_node_is_lost_again_at_every_step_of_a_recovery with by_command,
        a_reload_that_removes_the_node_during_a_recovery with by_command,
        a_reload_that_removes_the_primary_during_a_recovery with by_command,
    }
    disorder {
        the_primary_and_a_standby_die_at_once with promote,
        a_primary_that_comes_and_goes with promote,
        a_standby_that_receives_nothing_is_not_the_heir with promote,
        a_standby_with_wal_from_beyond_the_fork with promote,
        a_rival_does_not_take_over_what_it_lacks with promote,
        a_word_counts_beside_an_old_primary with only_the_first,
        two_standbys_are_promoted_by_others with promote,
        a_standby_that_others_promote_beside_the_primary with promote,
        a_candidate_is_detached_in_a_failover with promote,
        the_lost_primary_is_detached_in_a_failover with promote,
    }
    suspension {
        a_pgherd_that_was_stopped_replaces_nobody with hasty,
        a_pgherd_that_was_stopped_finds_a_loss with hasty,
        a_pgherd_that_was_stopped_in_a_failover_ends_it with hasty,
        a_pgherd_that_was_stopped_in_a_switchover_ends_it with brief,
    }
    restarts {
        pgherd_is_killed_at_every_step_of_a_switchover with promote,
        pgherd_is_killed_at_every_step_of_a_failover with promote,
        pgherd_is_killed_after_every_deed_of_a_failover with promote,
    }
    commands {
        a_command_promotes_and_another_has_the_others_follow with by_commands,
        a_command_that_fails_is_run_for_the_next_one with failing,
        a_command_that_lies_is_not_believed with lying,
        a_command_that_hangs_is_ended with hanging,
        a_command_that_fails_after_it_has_promoted with stumbling,
        pgherd_is_killed_while_its_command_promotes with late,
        pgherd_is_killed_while_its_command_has_a_standby_follow with by_commands,
        a_node_is_detached_during_a_failover with late,
        a_command_replaces_a_primary_lost_before_the_start with by_commands,
        the_loss_and_the_return_of_a_standby_are_told with by_commands,
        of_a_node_that_may_not_fail_over_nothing_is_told with disallowed,
        the_loss_of_one_that_is_always_the_primary_is_told with always_primary,
        who_follows_by_a_command_was_not_lost with by_hand,
        where_others_promote_a_command_is_only_told with told,
        a_switchover_promotes_by_the_command with switching,
        a_stop_waits_for_a_command with hanging,
    }
    failures {
        a_standby_dies_under_read_load with standbys_only,
        a_read_in_flight_is_sent_to_another_server with standby_preferred,
        a_read_in_flight_at_the_primary_is_sent_to_a_standby with primary_preferred,
        a_write_in_disguise_is_lost_with_the_primary with primary_preferred,
        a_read_is_sent_to_another_server_once with standby_preferred,
        a_read_of_a_transaction_is_not_sent_to_another_server with standby_preferred,
        a_read_in_flight_outlives_a_stop_of_its_standby with standby_dozes,
        a_read_in_flight_outlives_a_stop_of_its_primary with primary_dozes,
        a_read_ended_by_an_administrator_is_not_repeated with standby_dozes,
        a_read_in_doubt_can_be_given_up with standby_dozes,
        a_standby_comes_back with standby_preferred,
        a_standby_that_hangs_is_left_alone with impatient,
        a_write_waits_for_the_primary_to_come_back,
        a_write_gives_up_when_the_primary_stays_away with short_failover_wait,
        a_transaction_does_not_outlive_its_server,
        a_transaction_that_is_over_is_not_lost,
        sessions_ended_by_an_administrator_do_not_mean_a_server_is_down,
        one_session_ended_by_another,
    }
    health {
        a_node_is_watched_as_is_said_of_it with patient_with_one,
        ended_sessions_start_no_failover with promote,
        ended_sessions_are_no_goodbye with believe_goodbyes,
        a_server_that_stops_is_replaced_at_once with believe_goodbyes,
        a_loss_is_found_by_checks_alone with unhurried,
        a_full_server_is_not_lost with promote,
        a_full_disk_is_the_statements_trouble with promote,
        a_node_that_disallows_it_is_not_replaced with disallowed,
        a_standby_that_comes_and_goes with flapping,
        a_standby_that_follows_nobody_is_kept_out with flapping,
        a_standby_that_is_not_proved_is_kept_out_without_a_primary with leave_it,
        a_standby_that_is_not_proved_goes_behind with prefer_the_first,
        a_standby_that_follows_nobody_is_attached with flapping,
        a_lost_server_waits_for_the_operator with by_hand,
        an_old_primary_is_in_quarantine with promote,
        an_old_primary_is_not_taken_when_the_next_one_is_lost with promote,
        a_primary_that_others_replace with promote,
        a_reload_without_the_primary_promotes_nobody with prefer_the_last,
        a_primary_lost_before_the_start_is_replaced with promote,
        of_a_primary_lost_before_the_start_little_is_known with promote,
        a_detached_node_stays_so_over_a_restart,
        the_last_node_that_is_detached_stays_so with leave_it,
        a_node_that_was_down_serves_after_a_restart,
    }
    login {
        a_login_by_scram,
        a_login_by_md5 with md5,
        a_login_by_clear_password with password,
        a_login_without_password with trust,
        auth_method_overrules_the_servers with md5_before_scram,
        a_wrong_password_is_refused with more_users,
        a_wrong_md5_password_is_refused with md5,
        an_unknown_user_looks_like_a_wrong_password,
        an_unknown_user_looks_like_a_wrong_md5_password with md5,
        an_unknown_user_looks_like_a_wrong_clear_password with password,
        users_log_in_as_themselves with more_users,
        an_unknown_database_is_refused_by_the_server,
        encryption_is_declined_and_the_login_goes_on,
        a_newer_protocol_is_negotiated,
        an_ancient_protocol_is_refused,
    }
    hostile {
        bytes_behind_a_request_for_encryption_end_the_connection with hasty,
        startup_packets_that_lie_about_their_length,
        random_bytes_end_only_their_own_connection,
        a_message_of_two_gigabytes_is_not_believed,
        an_unknown_message_ends_only_its_own_session,
        a_password_of_any_length_is_not_believed,
        half_a_startup_packet_and_silence with hasty,
        a_login_one_byte_at_a_time with hasty,
        a_query_one_byte_at_a_time,
    }
    operate {
        show_pool_nodes_by_both_protocols,
        show_pool_version,
        an_unknown_show_is_refused_by_the_server,
        a_smart_shutdown_lets_a_transaction_finish,
        a_smart_shutdown_gives_up_at_its_limit with short_shutdown,
        a_fast_shutdown_tells_the_clients,
        an_immediate_shutdown_ends_at_once,
        a_reload_changes_a_weight with primary_only,
    }
    admin {
        an_administrator_sees_the_nodes,
        an_administrator_sees_what_show_shows,
        an_administrator_sees_sessions,
        a_wrong_password_opens_nothing,
        requests_before_a_login_are_refused,
        garbage_is_refused_over_pcp,
        half_a_packet_and_silence_over_pcp,
        strangers_keep_no_administrator_out,
        requests_in_pieces_and_ahead_are_answered,
        a_reload_is_asked_for,
        a_primary_that_is_detached_is_replaced with promoting,
        a_node_is_detached_and_attached,
        a_smart_shutdown_is_asked_for,
        a_fast_shutdown_is_asked_for,
        an_immediate_shutdown_is_asked_for,
    }
    balancing {
        functions_are_balanced_as_the_catalog_says with one_standby,
        unlogged_tables_and_sequences_are_the_primarys with one_standby,
        functions_that_read_are_listed with with_readers,
        functions_that_write_are_listed with with_writers,
        texts_for_the_primary_are_listed with with_patterns,
        a_comment_keeps_a_statement_on_the_primary with one_standby,
        comments_may_be_allowed with with_comments,
        statements_are_balanced_each with by_statement,
        sessions_are_balanced_each with by_session,
        lists_prefer_servers_in_their_order with redirected,
        users_have_their_servers with redirected_users,
        preferences_have_their_ratio with redirected_away,
        the_least_delayed_standby_takes_over with prefer_lower_delay,
        a_standby_that_is_late_serves_no_reads with by_time,
    }
    after_writes {
        transactions_read_on_the_primary with primary_reads,
        a_transaction_reads_elsewhere_until_it_writes with transaction,
        a_transaction_that_never_writes_is_one_all_the_same with transaction,
        a_repeatable_read_stays_where_it_is with transaction,
        writes_may_make_no_difference with off,
        writes_may_count_for_later_transactions with trans_transaction,
        writes_may_count_for_ever with always,
        writes_may_count_by_table with dml_adaptive,
        functions_count_for_what_they_write with dml_adaptive,
        a_refused_setting_is_told_to_its_own_statement with transaction,
    }
    crowd {
        a_crowd_is_served_in_fair_order with few,
        whoever_asks_first_is_served_first with two,
        waiters_time_out_with_the_figures_of_their_pool with two_in_haste,
        a_server_is_lost_with_waiters_in_line with two,
        a_storm_of_logins_needs_no_more_than_the_pool with four,
        large_results_starve_nobody with four,
        clients_die_at_every_point_of_a_transaction with two,
        limits_are_never_exceeded with tight,
    }
    statements_table {
        every_example_is_explained with standby_only,
        harmless_examples_land_there with told_per_node,
    }
    resets {
        what_a_session_leaves_is_cleaned_up with counted,
        what_leaves_nothing_resets_nothing with counted,
        what_a_bound_session_leaves_is_cleaned_up with counted_shared,
        what_sessions_share_resets_nothing with counted_shared,
    }
    show {
        every_table_is_shown_by_both_protocols,
        parameters_are_shown_with_their_values,
        sessions_are_shown_with_what_they_do,
        connections_are_shown_with_their_pools,
        statements_are_counted_by_node with standby_only,
        checks_are_counted_by_node,
        a_session_sets_a_parameter_for_itself with standby_only,
        a_session_limits_its_own_idleness,
        a_route_is_explained_and_not_taken with standby_only,
        a_question_beside_other_statements_is_refused,
        statements_are_told_with_their_node with told_per_node,
        askers_that_leave_harm_nobody,
        pins_are_shown_with_their_causes with shared,
        waiting_sessions_are_shown with shared,
    }
}
