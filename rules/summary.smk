# What a person looks at first.


rule summarize_session:
    """Judge every recording, and make the table, the pages of the report, a picture and short previews."""
    input:
        averages=every("average"),
        masks=every("mask"),
        aligned_masks=every("aligned_mask"),
        to_reference=every("to_reference"),
        compensated=every("compensated") if not session.external else [],
        references=every("reference") if not session.external else [],
        statistics=every("statistics") if options["save_meta_info"] else [],
        recordings=sources if not session.external else [],
        final_mask=session.path("final_png"),
        center=session.path("center"),
        damaged=damage_stamp("summarize_session"),
    output:
        page=report(
            session.path("session_page"),
            caption="captions/session_page.rst",
            category=SESSION_CATEGORY,
            labels={"page": "At a glance"},
        ),
        figure=report(
            session.path("summary_figure"),
            caption="captions/summary_figure.rst",
            category=SESSION_CATEGORY,
            labels={"page": "Picture"},
        ),
        table=report(
            session.path("summary_table"),
            caption="captions/summary_table.rst",
            category=SESSION_CATEGORY,
            labels={"page": "Table (CSV)"},
        ),
        pages=[
            report(
                session.path("recording_page", name),
                caption="captions/recording_page.rst",
                category=RECORDINGS_CATEGORY,
                labels={"recording": name},
            )
            for name in PAGED
        ],
        previews=PREVIEWS if not session.external else [],
    log:
        "logs/summarize_session.log",
    benchmark:
        "benchmarks/summarize_session.tsv"
    group:
        submission("session")
    conda:
        "../envs/cpu.yaml"
    threads: summary_threads
    resources:
        mem_mb=lambda wildcards, threads, attempt: resources.summary_mb(session.recordings, threads, attempt),
        runtime=lambda wildcards, attempt: resources.summary_minutes(session.recordings, attempt),
    params:
        names=session.names,
        raw=None if session.external else [recording.path for recording in session.recordings],
        reading=[
            session.reading(recording) | {"bin_size": options["bin_size"]}
            for recording in session.recordings
        ],
        status=session.paths("status"),
        # taking `input` makes a parameter no reason to run again: another backend would compute nothing anew
        choices=lambda wildcards, input: {
            "stage1": settings["stage1"],
            "reference_frames": options["reference_frames"],
            "flow_backend": settings["flow_backend"],
        },
    script:
        "../scripts/summarize_session.py"
